"""What this package was generated from."""

CONTRACT_VERSION = "1.0.0"
CONTRACT_SHA256 = "a0cd6272ccd423b71ca9edd6315fa426eb4dd042961bc7c22b3322e1a0658759"  # of contract.json
SETTINGS_SHA256 = "f8207608d9f007e047138dcfe01d934cc78adc34187ef925ba63809ea5e06c0d"  # of generator-config.yaml, openapi/mend.py, openapi/stamp.py
GENERATOR = "openapi-python-client 0.29.1"
FORMATTER = "ruff 0.17.6"
