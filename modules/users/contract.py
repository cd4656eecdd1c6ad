from uuid import UUID

from contracts.runtime.identity import token_for
from contracts.users import Customer, Identity, SignedIn
from modules.users import selectors, service


class LocalUsers:
    """Answers contracts.users.Users."""

    def sign_in(self, *, email: str, password: str) -> Identity:
        return service.user_sign_in(email=email, password=password)

    def begin_session(self, *, email: str, password: str) -> SignedIn:
        identity = self.sign_in(email=email, password=password)
        return SignedIn(identity=identity, token=token_for(identity))

    def customer(self, *, customer_id: UUID) -> Customer:
        return selectors.user_get(user_id=customer_id).customer


IMPLEMENTATION = LocalUsers()
