"""The versions of this package and of the contract whose generated client it uses."""

from ._api import CONTRACT_SHA256, CONTRACT_VERSION

__version__ = "0.1.0"
__contract_version__: str = CONTRACT_VERSION
__contract_sha256__: str = CONTRACT_SHA256
