"""The window plugin's features, computed from an archive of readings.

A model must be trained on the numbers that it will be fed. Where those were
captured on a gateway there is nothing to compute. For an archive of readings
this does what plugins/window does, for the part of it that training here needs:
series read as they are or scaled by what was learned so far (`running`), and
the features in `FEATURES`. A test runs both on the same readings.
"""

import numpy as np

FEATURES = ("mean", "std", "min", "max", "range", "last", "slope")


class Unsupported(Exception):
    """The window's configuration asks for what only the plugin computes."""


def names(config):
    """The names of the features, in their order."""
    return [
        f"{series.get('name', series['record'])}.{feature}"
        for series in config["series"]
        for feature in series.get("features", [])
    ]


def of_archive(config, times, readings):
    """The end of each window and its features.

    `config` is the plugin's configuration, `times` are seconds on the window's
    grid, rising, `readings` an array for each record. A window in which a
    reading is missing is left out.
    """
    if config.get("derived") or config.get("correlations"):
        raise Unsupported("derived series and correlations")
    length, hop, step = config["length"], config["hop"], config["step_ms"] / 1e3
    steps = np.round(times / step).astype(np.int64)
    first = int(steps[0])
    grid = np.full(int(steps[-1]) - first + 1, -1)
    grid[steps - first] = np.arange(len(steps))
    whole = np.lib.stride_tricks.sliding_window_view(grid >= 0, length).all(axis=1)
    starts = np.flatnonzero(whole & ((np.arange(len(whole)) + first) % hop == 0))
    columns = []
    for series in config["series"]:
        if series["record"] not in readings:
            raise Unsupported(f"there is no column `{series['record']}`")
        values = np.where(grid >= 0, readings[series["record"]][grid], np.nan)
        base, scale = learned(values, series.get("normalise", "none"), step)
        window = np.lib.stride_tricks.sliding_window_view(values, length)[starts]
        ends = starts + length - 1
        # A scale of 0 makes every point 0, as in the plugin.
        by = np.where(scale[ends] > 0, scale[ends], np.inf)[:, None]
        window = (window - base[ends][:, None]) / by
        columns += [feature(name, window, step) for name in series.get("features", [])]
    ends = (first + starts + length - 1) * step
    return ends, np.column_stack(columns)


def learned(values, how, step):
    """What is subtracted from points, and what they are divided by, at each point."""
    still = np.zeros(len(values)), np.ones(len(values))
    if how == "none":
        return still
    if "standard" in how:
        fixed = how["standard"]
        return still[0] + fixed["mean"], still[1] * fixed["std"]
    if "running" not in how:
        raise Unsupported(f"normalise = {how}")
    weight_min = 1 - np.exp(-step / how["running"]["seconds"])
    bases, scales = np.zeros(len(values)), np.zeros(len(values))
    mean = variance = seen = 0
    for place, value in enumerate(values):
        if np.isfinite(value):
            seen += 1
            weight = max(weight_min, 1 / seen)
            off = value - mean
            mean += weight * off
            variance = (1 - weight) * (variance + weight * off * off)
        bases[place], scales[place] = mean, np.sqrt(variance)
    return bases, scales


def feature(name, window, step):
    if name == "slope":
        time = np.arange(window.shape[1]) * step
        time -= time.mean()
        return window @ time / (time @ time)
    known = {
        "mean": lambda: window.mean(axis=1),
        "std": lambda: window.std(axis=1),
        "min": lambda: window.min(axis=1),
        "max": lambda: window.max(axis=1),
        "range": lambda: window.max(axis=1) - window.min(axis=1),
        "last": lambda: window[:, -1],
    }
    if name not in known:
        raise Unsupported(f"the feature `{name}`")
    return known[name]()
