"""Four linked, interactive plots of a report's stars: zoom, hover, select."""

from __future__ import annotations

import numpy as np
from bokeh.embed import components
from bokeh.layouts import column, gridplot
from bokeh.models import ColumnDataSource, CustomJS, HoverTool, Range1d, Slope
from bokeh.models.widgets import Select
from bokeh.plotting import figure
from bokeh.resources import Resources
from markupsafe import Markup

from xpfeh.evaluate.figures import BLUE, ORANGE, RED, span
from xpfeh.evaluate.slices import unflagged
from xpfeh.flags import Flag
from xpfeh.typing import Columns

_MOST = 20_000
"""Maximum number of stars on the page, sampled evenly: each takes about 150 bytes."""
_ALONG = {
    "true [Fe/H]": "feh",
    "predicted [Fe/H]": "FEH",
    "(BP−RP)₀": "bp_rp0",
    "G": "phot_g_mean_mag",
    "E(B−V)": "ebv",
    "galactic latitude": "b",
    "[α/M]": "alpha_m",
    "domain score": "domain_score",
}
_BOKEH = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
_TOOLS = "pan,wheel_zoom,box_zoom,box_select,lasso_select,reset,save"


def explorer(stars: Columns) -> Markup:
    """Return Bokeh's script, four linked plots of the stars and a menu for the axis, as self-contained HTML.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        As `xpfeh.evaluate.study.Judged.stars`.
    """
    source = ColumnDataSource(_columns(stars))
    hover = HoverTool(
        tooltips=[
            ("source_id", "@source_id"),
            ("[Fe/H] true", "@feh{0.00} (@reference)"),
            ("predicted", "@FEH{0.00}, 68 %: @low{0.00} to @high{0.00}"),
            ("G, (BP−RP)₀, E(B−V)", "@phot_g_mean_mag{0.0}, @bp_rp0{0.00}, @ebv{0.00}"),
            ("flags", "@flag_names"),
        ]
    )
    plots = []
    for title, x, y in (
        ("predicted against true [Fe/H]", "feh", "FEH"),
        ("residual against …", "along", "residual"),
        ("colour and magnitude", "bp_rp0", "phot_g_mean_mag"),
        ("the sky, Galactic (deg)", "l", "b"),
    ):
        plot = figure(width=540, height=340, title=title, tools=[*_TOOLS.split(","), hover], active_drag="box_select")
        plot.scatter(x, y, source=source, size=5, color="colour", alpha=0.55, nonselection_alpha=0.06, line_color=None)
        plots.append(plot)
    one_to_one, along, magnitude, sky = plots
    one_to_one.add_layout(Slope(gradient=1, y_intercept=0, line_color=RED))
    along.add_layout(Slope(gradient=0, y_intercept=0, line_color=RED))
    magnitude.y_range = Range1d(*span(stars["phot_g_mean_mag"])[::-1])
    sky.x_range = Range1d(360, 0)
    names = (
        ("true [Fe/H] (dex)", "predicted [Fe/H] (dex)"),
        ("true [Fe/H]", "residual (dex)"),
        ("(BP−RP)₀ (mag)", "G (mag)"),
    )
    for plot, (x, y) in zip(plots, (*names, ("l", "b")), strict=True):
        plot.xaxis.axis_label, plot.yaxis.axis_label = x, y
    choice = Select(title="residuals against", value="true [Fe/H]", options=list(_ALONG))
    choice.js_on_change("value", CustomJS(args={"source": source, "axis": along.xaxis[0], "names": _ALONG}, code="""
        source.data.along = source.data[names[this.value]]
        axis.axis_label = this.value
        source.change.emit()
    """))  # fmt: skip
    script, division = components(column(choice, gridplot([plots[:2], plots[2:]], toolbar_location="right")))
    return Markup(_BOKEH.render_js() + division + script)  # Bokeh's own output


def _columns(stars: Columns) -> dict[str, object]:
    known = np.flatnonzero(np.isfinite(stars["FEH"]))
    if len(known) > _MOST:
        known = known[np.linspace(0, len(known) - 1, _MOST).astype(int)]
    names = ("feh", "FEH", "bp_rp0", "phot_g_mean_mag", "ebv", "l", "b", "alpha_m", "domain_score")
    columns: dict[str, object] = {
        name: stars[name][known].astype(np.float32).round(4) for name in names if name in stars
    }
    flags = stars["flags"][known]
    feh = np.asarray(stars["feh"][known], np.float32)
    return columns | {
        # As text: JavaScript's integers are exact only up to 2^53.
        "source_id": [str(each) for each in stars["source_id"][known]],
        "reference": [str(each) for each in stars["reference"][known]],
        "low": stars["FEH_lo68"][known],
        "high": stars["FEH_hi68"][known],
        "residual": (stars["FEH"][known] - feh).astype(np.float32),
        "along": feh,
        "flag_names": [", ".join(str(flag.name) for flag in Flag if int(each) & flag) or "none" for each in flags],
        "colour": np.where(unflagged(flags), BLUE, ORANGE).tolist(),
    }
