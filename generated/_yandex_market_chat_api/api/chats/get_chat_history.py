from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.api_client_data_error_response import ApiClientDataErrorResponse
from ...models.api_forbidden_error_response import ApiForbiddenErrorResponse
from ...models.api_limit_error_response import ApiLimitErrorResponse
from ...models.api_not_found_error_response import ApiNotFoundErrorResponse
from ...models.api_server_error_response import ApiServerErrorResponse
from ...models.api_unauthorized_error_response import ApiUnauthorizedErrorResponse
from ...models.get_chat_history_request import GetChatHistoryRequest
from ...models.get_chat_history_response import GetChatHistoryResponse
from ...types import UNSET, Response, Unset


def _get_kwargs(
    business_id: int,
    *,
    body: GetChatHistoryRequest,
    chat_id: int,
    page_token: str | Unset = UNSET,
    limit: int | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    params["chatId"] = chat_id

    params["pageToken"] = page_token

    params["limit"] = limit

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v2/businesses/{business_id}/chats/history".format(
            business_id=quote(str(business_id), safe=""),
        ),
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | GetChatHistoryResponse
    | None
):
    if response.status_code == 200:
        response_200 = GetChatHistoryResponse.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = ApiClientDataErrorResponse.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = ApiUnauthorizedErrorResponse.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ApiForbiddenErrorResponse.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ApiNotFoundErrorResponse.from_dict(response.json())

        return response_404

    if response.status_code == 420:
        response_420 = ApiLimitErrorResponse.from_dict(response.json())

        return response_420

    if response.status_code == 500:
        response_500 = ApiServerErrorResponse.from_dict(response.json())

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | GetChatHistoryResponse
]:
    return Response(
        status_code=response.status_code,
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: GetChatHistoryRequest,
    chat_id: int,
    page_token: str | Unset = UNSET,
    limit: int | Unset = UNSET,
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | GetChatHistoryResponse
]:
    """Read the messages of a chat

     Returns the messages of a chat, page by page. A POST that only reads: safe to repeat. Open to
    sellers of FBY, FBS, Express and DBS.

    Not documented: the order of the messages (sort by `createdAt` and `messageId`), how long a
    file that was sent takes to appear, whether its name and size are kept, and whether reading a
    history marks it as read in the cabinet.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and of this operation 10 000 an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        page_token (str | Unset): The `nextPageToken` of the page before; without it, the first
            page. One that Market does not know is answered with 400, `Bad page token`. Example:
            cGFnZToy.
        limit (int | Unset): The most messages on the page; without it, 50. Example: 50.
        body (GetChatHistoryRequest): Which part of the history; `{}` is all of it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | GetChatHistoryResponse]
    """

    kwargs = _get_kwargs(
        business_id=business_id,
        body=body,
        chat_id=chat_id,
        page_token=page_token,
        limit=limit,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: GetChatHistoryRequest,
    chat_id: int,
    page_token: str | Unset = UNSET,
    limit: int | Unset = UNSET,
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | GetChatHistoryResponse
    | None
):
    """Read the messages of a chat

     Returns the messages of a chat, page by page. A POST that only reads: safe to repeat. Open to
    sellers of FBY, FBS, Express and DBS.

    Not documented: the order of the messages (sort by `createdAt` and `messageId`), how long a
    file that was sent takes to appear, whether its name and size are kept, and whether reading a
    history marks it as read in the cabinet.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and of this operation 10 000 an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        page_token (str | Unset): The `nextPageToken` of the page before; without it, the first
            page. One that Market does not know is answered with 400, `Bad page token`. Example:
            cGFnZToy.
        limit (int | Unset): The most messages on the page; without it, 50. Example: 50.
        body (GetChatHistoryRequest): Which part of the history; `{}` is all of it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | GetChatHistoryResponse
    """

    return sync_detailed(
        business_id=business_id,
        client=client,
        body=body,
        chat_id=chat_id,
        page_token=page_token,
        limit=limit,
    ).parsed


async def asyncio_detailed(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: GetChatHistoryRequest,
    chat_id: int,
    page_token: str | Unset = UNSET,
    limit: int | Unset = UNSET,
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | GetChatHistoryResponse
]:
    """Read the messages of a chat

     Returns the messages of a chat, page by page. A POST that only reads: safe to repeat. Open to
    sellers of FBY, FBS, Express and DBS.

    Not documented: the order of the messages (sort by `createdAt` and `messageId`), how long a
    file that was sent takes to appear, whether its name and size are kept, and whether reading a
    history marks it as read in the cabinet.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and of this operation 10 000 an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        page_token (str | Unset): The `nextPageToken` of the page before; without it, the first
            page. One that Market does not know is answered with 400, `Bad page token`. Example:
            cGFnZToy.
        limit (int | Unset): The most messages on the page; without it, 50. Example: 50.
        body (GetChatHistoryRequest): Which part of the history; `{}` is all of it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | GetChatHistoryResponse]
    """

    kwargs = _get_kwargs(
        business_id=business_id,
        body=body,
        chat_id=chat_id,
        page_token=page_token,
        limit=limit,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: GetChatHistoryRequest,
    chat_id: int,
    page_token: str | Unset = UNSET,
    limit: int | Unset = UNSET,
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | GetChatHistoryResponse
    | None
):
    """Read the messages of a chat

     Returns the messages of a chat, page by page. A POST that only reads: safe to repeat. Open to
    sellers of FBY, FBS, Express and DBS.

    Not documented: the order of the messages (sort by `createdAt` and `messageId`), how long a
    file that was sent takes to appear, whether its name and size are kept, and whether reading a
    history marks it as read in the cabinet.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and of this operation 10 000 an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        page_token (str | Unset): The `nextPageToken` of the page before; without it, the first
            page. One that Market does not know is answered with 400, `Bad page token`. Example:
            cGFnZToy.
        limit (int | Unset): The most messages on the page; without it, 50. Example: 50.
        body (GetChatHistoryRequest): Which part of the history; `{}` is all of it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | GetChatHistoryResponse
    """

    return (
        await asyncio_detailed(
            business_id=business_id,
            client=client,
            body=body,
            chat_id=chat_id,
            page_token=page_token,
            limit=limit,
        )
    ).parsed
