"""The breaches, in order. A number may have variants, each for a rule that the first form does not need.

They patch the project as it is: where the project changes, a patch that does not fit says so (NotApplicable).
"""

from shop.breaches.breach import Breach
from shop.breaches.catalogue import database, framework, imports, models, names, services, transactions

CATALOGUE: tuple[Breach, ...] = tuple(
    sorted(
        (
            *imports.BREACHES,
            *names.BREACHES,
            *models.BREACHES,
            *framework.BREACHES,
            *services.BREACHES,
            *transactions.BREACHES,
            *database.BREACHES,
        ),
        key=lambda breach: (breach.number, breach.label),
    )
)
