"""The published language of the shop: what each module answers, publishes and hears.

Each definition file (users, inventory, orders, payments) has the same names:

    CONTRACT   the Protocol that the module answers
    READS      calls without an effect: safe to send again
    ERRORS     domain errors that cross the boundary as themselves
    PUBLISHES  events of this module, past tense, versioned by their tag
    HEARS      subscriber name -> type of the event it hears

They import the standard library and msgspec alone, so that any unit can hold all of them.
"""
