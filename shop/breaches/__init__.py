"""The catalogue of breaches: ways in which one module reaches into another, each as a patch on this very project.

`manage.py breaches` applies each to a scratch copy, runs the layers there, and shows which of them caught it, and
beside it what import-linter and tach say. The catalogue proves the layers: whoever weakens a rule sees a breach escape,
and `--prove` takes each rule away to show it.

    catalogue/    the breaches, as data
    breach.py     what a breach is, and its patch as a diff
    scratch.py    copies of the project
    inside.py     the program that runs in a copy
    without.py    one rule taken away, there
    program.py    who starts it, and gives it jobs
    databases.py  a server for the run, and a database for each breach that needs one
    others.py     import-linter and tach, run as their documentation shows
    judging.py    what is new in a patched copy, and which layer saw it first
    run.py        all of it, several at a time
"""
