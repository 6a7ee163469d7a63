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
from ...models.create_chat_request import CreateChatRequest
from ...models.create_chat_response import CreateChatResponse
from ...types import Response


def _get_kwargs(
    business_id: int,
    *,
    body: CreateChatRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v2/businesses/{business_id}/chats/new".format(
            business_id=quote(str(business_id), safe=""),
        ),
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
    | CreateChatResponse
    | None
):
    if response.status_code == 200:
        response_200 = CreateChatResponse.from_dict(response.json())

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
    | CreateChatResponse
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
    body: CreateChatRequest,
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | CreateChatResponse
]:
    """Open the chat of an order or a return

     Returns the chat of an order or a return: a new one, or the one that was opened before. So it
    is safe to repeat. Open to sellers of FBY, FBS, Express and DBS; chats of returns are not for
    DBS.

    What a buyer sees of a chat that is opened and stays empty is not documented, nor is what
    happens for an order that was cancelled.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and 1 000 of this operation an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        body (CreateChatRequest): What the chat is about. The older `orderId` was switched off in
            October 2026 and is left out; without `context` nothing would be asked for, so it is
            required here.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | CreateChatResponse]
    """

    kwargs = _get_kwargs(
        business_id=business_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: CreateChatRequest,
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | CreateChatResponse
    | None
):
    """Open the chat of an order or a return

     Returns the chat of an order or a return: a new one, or the one that was opened before. So it
    is safe to repeat. Open to sellers of FBY, FBS, Express and DBS; chats of returns are not for
    DBS.

    What a buyer sees of a chat that is opened and stays empty is not documented, nor is what
    happens for an order that was cancelled.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and 1 000 of this operation an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        body (CreateChatRequest): What the chat is about. The older `orderId` was switched off in
            October 2026 and is left out; without `context` nothing would be asked for, so it is
            required here.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | CreateChatResponse
    """

    return sync_detailed(
        business_id=business_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: CreateChatRequest,
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | CreateChatResponse
]:
    """Open the chat of an order or a return

     Returns the chat of an order or a return: a new one, or the one that was opened before. So it
    is safe to repeat. Open to sellers of FBY, FBS, Express and DBS; chats of returns are not for
    DBS.

    What a buyer sees of a chat that is opened and stays empty is not documented, nor is what
    happens for an order that was cancelled.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and 1 000 of this operation an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        body (CreateChatRequest): What the chat is about. The older `orderId` was switched off in
            October 2026 and is left out; without `context` nothing would be asked for, so it is
            required here.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | CreateChatResponse]
    """

    kwargs = _get_kwargs(
        business_id=business_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: CreateChatRequest,
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | CreateChatResponse
    | None
):
    """Open the chat of an order or a return

     Returns the chat of an order or a return: a new one, or the one that was opened before. So it
    is safe to repeat. Open to sellers of FBY, FBS, Express and DBS; chats of returns are not for
    DBS.

    What a buyer sees of a chat that is opened and stays empty is not documented, nor is what
    happens for an order that was cancelled.

    The limits are those of `sendFileToChat`: 4 requests at once, common to all operations of a
    business, and 1 000 of this operation an hour.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        body (CreateChatRequest): What the chat is about. The older `orderId` was switched off in
            October 2026 and is left out; without `context` nothing would be asked for, so it is
            required here.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | CreateChatResponse
    """

    return (
        await asyncio_detailed(
            business_id=business_id,
            client=client,
            body=body,
        )
    ).parsed
