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
from ...models.empty_api_response import EmptyApiResponse
from ...models.send_file_to_chat_request import SendFileToChatRequest
from ...types import UNSET, Response


def _get_kwargs(
    business_id: int,
    *,
    body: SendFileToChatRequest,
    chat_id: int,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    params["chatId"] = chat_id

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v2/businesses/{business_id}/chats/file/send".format(
            business_id=quote(str(business_id), safe=""),
        ),
        "params": params,
    }

    _kwargs["files"] = body.to_multipart()

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
    | EmptyApiResponse
    | None
):
    if response.status_code == 200:
        response_200 = EmptyApiResponse.from_dict(response.json())

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
    | EmptyApiResponse
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
    body: SendFileToChatRequest,
    chat_id: int,
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | EmptyApiResponse
]:
    """Send a file to a chat

     Sends one file to the chat with a buyer. Open to sellers of FBY, FBS, Express and DBS; not
    deprecated.

    **There is no idempotency key, and the answer holds no message id.** After a 5xx, a 499, a
    timeout, or a connection lost once the request was on its way, nobody can know whether the
    buyer has the file. Sending it again can deliver it twice.

    Two limits hold at the same time. Both are counted per business and answered with 420, never
    with 429.

    - *parallel*: at most 4 requests at once, shared by all credentials, processes and hosts of
      the business. It clears as soon as another request ends.
    - *resource*: 1 000 requests an hour. It clears at the moment in `X-RateLimit-Resource-Until`;
      where the hour begins is not documented. 2xx and 4xx answers use the allowance up, 5xx
      answers do not; whether a 420 does is not documented.

    Statuses that are not listed here may occur. For the API as a whole the documentation also
    names 405, 415, 423, 499 and 503, with the same body as the other errors. A proxy on the way
    may answer with HTML, or close the connection.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        body (SendFileToChatRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | EmptyApiResponse]
    """

    kwargs = _get_kwargs(
        business_id=business_id,
        body=body,
        chat_id=chat_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: SendFileToChatRequest,
    chat_id: int,
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | EmptyApiResponse
    | None
):
    """Send a file to a chat

     Sends one file to the chat with a buyer. Open to sellers of FBY, FBS, Express and DBS; not
    deprecated.

    **There is no idempotency key, and the answer holds no message id.** After a 5xx, a 499, a
    timeout, or a connection lost once the request was on its way, nobody can know whether the
    buyer has the file. Sending it again can deliver it twice.

    Two limits hold at the same time. Both are counted per business and answered with 420, never
    with 429.

    - *parallel*: at most 4 requests at once, shared by all credentials, processes and hosts of
      the business. It clears as soon as another request ends.
    - *resource*: 1 000 requests an hour. It clears at the moment in `X-RateLimit-Resource-Until`;
      where the hour begins is not documented. 2xx and 4xx answers use the allowance up, 5xx
      answers do not; whether a 420 does is not documented.

    Statuses that are not listed here may occur. For the API as a whole the documentation also
    names 405, 415, 423, 499 and 503, with the same body as the other errors. A proxy on the way
    may answer with HTML, or close the connection.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        body (SendFileToChatRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | EmptyApiResponse
    """

    return sync_detailed(
        business_id=business_id,
        client=client,
        body=body,
        chat_id=chat_id,
    ).parsed


async def asyncio_detailed(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: SendFileToChatRequest,
    chat_id: int,
) -> Response[
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | EmptyApiResponse
]:
    """Send a file to a chat

     Sends one file to the chat with a buyer. Open to sellers of FBY, FBS, Express and DBS; not
    deprecated.

    **There is no idempotency key, and the answer holds no message id.** After a 5xx, a 499, a
    timeout, or a connection lost once the request was on its way, nobody can know whether the
    buyer has the file. Sending it again can deliver it twice.

    Two limits hold at the same time. Both are counted per business and answered with 420, never
    with 429.

    - *parallel*: at most 4 requests at once, shared by all credentials, processes and hosts of
      the business. It clears as soon as another request ends.
    - *resource*: 1 000 requests an hour. It clears at the moment in `X-RateLimit-Resource-Until`;
      where the hour begins is not documented. 2xx and 4xx answers use the allowance up, 5xx
      answers do not; whether a 420 does is not documented.

    Statuses that are not listed here may occur. For the API as a whole the documentation also
    names 405, 415, 423, 499 and 503, with the same body as the other errors. A proxy on the way
    may answer with HTML, or close the connection.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        body (SendFileToChatRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | EmptyApiResponse]
    """

    kwargs = _get_kwargs(
        business_id=business_id,
        body=body,
        chat_id=chat_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    business_id: int,
    *,
    client: AuthenticatedClient,
    body: SendFileToChatRequest,
    chat_id: int,
) -> (
    ApiClientDataErrorResponse
    | ApiForbiddenErrorResponse
    | ApiLimitErrorResponse
    | ApiNotFoundErrorResponse
    | ApiServerErrorResponse
    | ApiUnauthorizedErrorResponse
    | EmptyApiResponse
    | None
):
    """Send a file to a chat

     Sends one file to the chat with a buyer. Open to sellers of FBY, FBS, Express and DBS; not
    deprecated.

    **There is no idempotency key, and the answer holds no message id.** After a 5xx, a 499, a
    timeout, or a connection lost once the request was on its way, nobody can know whether the
    buyer has the file. Sending it again can deliver it twice.

    Two limits hold at the same time. Both are counted per business and answered with 420, never
    with 429.

    - *parallel*: at most 4 requests at once, shared by all credentials, processes and hosts of
      the business. It clears as soon as another request ends.
    - *resource*: 1 000 requests an hour. It clears at the moment in `X-RateLimit-Resource-Until`;
      where the hour begins is not documented. 2xx and 4xx answers use the allowance up, 5xx
      answers do not; whether a 420 does is not documented.

    Statuses that are not listed here may occur. For the API as a whole the documentation also
    names 405, 415, 423, 499 and 503, with the same body as the other errors. A proxy on the way
    may answer with HTML, or close the connection.

    Args:
        business_id (int): Id of the cabinet (the business), as told by `GET v2/campaigns` in
            `campaigns[].business.id`. It is not the campaign id. No maximum is documented, but for
            that of a signed 64-bit integer. Example: 12345.
        chat_id (int): Id of the chat, as told by `POST v2/businesses/{businessId}/chats`, `POST
            v2/businesses/{businessId}/chats/new` or a notification. No maximum is documented, but for
            that of a signed 64-bit integer. What happens for a chat that is finished or in dispute is
            not documented. Example: 67890.
        body (SendFileToChatRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiClientDataErrorResponse | ApiForbiddenErrorResponse | ApiLimitErrorResponse | ApiNotFoundErrorResponse | ApiServerErrorResponse | ApiUnauthorizedErrorResponse | EmptyApiResponse
    """

    return (
        await asyncio_detailed(
            business_id=business_id,
            client=client,
            body=body,
            chat_id=chat_id,
        )
    ).parsed
