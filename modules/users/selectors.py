from uuid import UUID

from contracts.users import UnknownCustomer
from modules.users.models import User


def user_get(*, user_id: UUID) -> User:
    """An active user. Raises UnknownCustomer."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        raise UnknownCustomer(user_id)
    return user
