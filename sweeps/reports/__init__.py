"""Results for people: tables as CSV and LaTeX, and one self-contained HTML page."""

from .latex import latex_table as latex_table
from .page import html_report as html_report
from .page import save_report as save_report
from .saving import save_table as save_table
from .tables import points_table as points_table
from .tables import summary_table as summary_table
