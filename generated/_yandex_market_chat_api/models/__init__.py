"""Contains all the data models used in inputs/outputs"""

from .api_client_data_error_response import ApiClientDataErrorResponse
from .api_error_dto import ApiErrorDTO
from .api_forbidden_error_response import ApiForbiddenErrorResponse
from .api_limit_error_response import ApiLimitErrorResponse
from .api_not_found_error_response import ApiNotFoundErrorResponse
from .api_response_status_type import ApiResponseStatusType
from .api_server_error_response import ApiServerErrorResponse
from .api_unauthorized_error_response import ApiUnauthorizedErrorResponse
from .empty_api_response import EmptyApiResponse
from .send_file_to_chat_request import SendFileToChatRequest

__all__ = (
    "ApiClientDataErrorResponse",
    "ApiErrorDTO",
    "ApiForbiddenErrorResponse",
    "ApiLimitErrorResponse",
    "ApiNotFoundErrorResponse",
    "ApiResponseStatusType",
    "ApiServerErrorResponse",
    "ApiUnauthorizedErrorResponse",
    "EmptyApiResponse",
    "SendFileToChatRequest",
)
