"""The same project with an app of the module and its migrations."""

from tests.extraction import project
from tests.extraction.project import DATABASES, SECRET_KEY, USE_TZ
from tests.extraction.two_servers import MODULE

EXTRACTION = project.EXTRACTION | {
    "modules": {MODULE: {**project.EXTRACTION["modules"][MODULE], "apps": ["tests.extraction.goods"]}}  # type: ignore[index]
}
INSTALLED_APPS = ["extraction", "tests.extraction.goods"]
DATABASE_ROUTERS = ["extraction.placement.routers.RetiredRouter", "extraction.placement.routers.ModuleRouter"]
__all__ = ["DATABASES", "DATABASE_ROUTERS", "EXTRACTION", "INSTALLED_APPS", "SECRET_KEY", "USE_TZ"]
