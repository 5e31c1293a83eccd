"""Small classical solvers: references, second opinions, warm starts; never a hidden fallback."""

from pinnx.solvers.assimilation import Fit, fit_box
from pinnx.solvers.box_flow import BoxFlow, NoSteadyFlowError, Solved
from pinnx.solvers.grid_sequence import BoxProblem, GridFields, Study, default_cells, made_again, polish, solve_box
from pinnx.solvers.walls import WALLS, NotApplicableError, Profile, Walls

__all__ = ["WALLS", "BoxFlow", "BoxProblem", "Fit", "GridFields", "NoSteadyFlowError", "NotApplicableError", "Profile"]
__all__ += ["Solved", "Study", "Walls", "default_cells", "fit_box", "made_again", "polish", "solve_box"]
