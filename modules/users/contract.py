from uuid import UUID

from contracts.users import Customer, Identity
from modules.users import selectors, service


class LocalUsers:
    """Answers contracts.users.Users."""

    def sign_in(self, *, email: str, password: str) -> Identity:
        return service.user_sign_in(email=email, password=password)

    def customer(self, *, customer_id: UUID) -> Customer:
        return selectors.user_get(user_id=customer_id).customer


IMPLEMENTATION = LocalUsers()
