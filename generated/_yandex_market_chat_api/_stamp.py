"""What this package was generated from."""

CONTRACT_VERSION = "1.0.0"
CONTRACT_SHA256 = "2b2903e77b7ec12ddb22a8388357fbb088b0fd3d19450f4c982ab56d9febf4ca"  # of contract.json
SETTINGS_SHA256 = "eade45fc8cefe0c889631862b9ba7191d7a3fceff29ee1310d6ffe24aba4e179"  # of generator-config.yaml, openapi/fixes.py, openapi/stamp.py
GENERATOR = "openapi-python-client 0.29.1"
FORMATTER = "ruff 0.17.6"
