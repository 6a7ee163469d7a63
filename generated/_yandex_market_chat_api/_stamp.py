"""What this package was generated from."""

CONTRACT_VERSION = "1.1.0"
CONTRACT_SHA256 = "43211655e7d65f92420075f423713e5228807072fd492e45e0186b4d72948763"  # of contract.json
SETTINGS_SHA256 = "f8207608d9f007e047138dcfe01d934cc78adc34187ef925ba63809ea5e06c0d"  # of generator-config.yaml, openapi/mend.py, openapi/stamp.py
GENERATOR = "openapi-python-client 0.29.1"
FORMATTER = "ruff 0.17.6"
