"""Why a request is refused, before a dialect gives it a form."""

from __future__ import annotations

from typing import NoReturn


class Refusal(Exception):  # noqa: N818  # not a failure of the simulator but one of its answers
    """Ends a request with an error answer.

    Attributes:
        status: The HTTP status.
        message: What is wrong, naming the item and field.
        where: The way to the bad part, such as `("body", 3, "data", "value")`.
    """

    def __init__(self, status: int, message: str, where: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.where = where


def unprocessable(message: str, *where: str | int) -> NoReturn:
    """Refuse with 422.

    Raises:
        Refusal: Always.
    """
    raise Refusal(422, message, where)


def not_found(message: str = "Resource not found") -> NoReturn:
    """Refuse with 404.

    Raises:
        Refusal: Always.
    """
    raise Refusal(404, message)


def conflict(message: str = "Conflict") -> NoReturn:
    """Refuse with 409.

    Raises:
        Refusal: Always.
    """
    raise Refusal(409, message)


def unauthorized(message: str = "Not valid authentication credentials") -> NoReturn:
    """Refuse with 401.

    Raises:
        Refusal: Always.
    """
    raise Refusal(401, message)
