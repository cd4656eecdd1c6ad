import os
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from contracts.runtime import transaction
from modules.users import service
from modules.users.models import User

PASSWORD_VARIABLE = "DJANGO_SUPERUSER_PASSWORD"  # noqa: S105


class Command(BaseCommand):
    """In place of Django's, whose users nobody can sign in as."""

    help = "Make the account of an admin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", default="Admin")
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help=f"Take the password from the environment: {PASSWORD_VARIABLE}.",
        )

    def handle(self, *args: Any, email: str, name: str, interactive: bool, **options: Any) -> None:
        password = getpass("Password: ") if interactive else os.environ.get(PASSWORD_VARIABLE, "")
        if not password:
            raise CommandError(f"There is no password; type one, or set {PASSWORD_VARIABLE} and add --noinput")
        user = User(email=email, name=name, role=User.Role.ADMIN)
        user.set_password(password)
        try:
            validate_password(password, user=user)  # type: ignore[arg-type]
            user.full_clean()
        except ValidationError as error:
            raise CommandError(f"{' '.join(error.messages)} Correct it and run the command again") from error
        with transaction("users"):
            service.user_add(user=user)
        self.stdout.write(f"{user.email} can sign in at /admin/")
