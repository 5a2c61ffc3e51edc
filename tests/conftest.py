"""For all tests: tables are as wide as on a wide terminal. rich asks once, when a command's module is imported, so what
one test prints would else depend on which test came first."""

import os

os.environ["COLUMNS"] = "160"
