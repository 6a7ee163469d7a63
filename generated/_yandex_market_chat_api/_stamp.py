"""What this package was generated from."""

CONTRACT_VERSION = "1.0.0"
CONTRACT_SHA256 = "2b2903e77b7ec12ddb22a8388357fbb088b0fd3d19450f4c982ab56d9febf4ca"  # of contract.json
SETTINGS_SHA256 = "f8207608d9f007e047138dcfe01d934cc78adc34187ef925ba63809ea5e06c0d"  # of generator-config.yaml, openapi/mend.py, openapi/stamp.py
GENERATOR = "openapi-python-client 0.29.1"
FORMATTER = "ruff 0.17.6"
