"""The tour: a shop started from nothing, customers who buy, and a report that a stranger can recount.

Its files, in the order of a tour: conductor (what happens when), load (the process that sends requests), journeys
(what a customer does), ledger (what the shop said yes to), census (what the shop holds), memory, report, plots, page.
"""
