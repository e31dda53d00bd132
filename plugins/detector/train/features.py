"""The window plugin's features, computed from an archive of readings.

A model must be trained on the numbers that it will be fed. Where those were
captured on a gateway there is nothing to compute. For an archive of readings
this does what plugins/window does, for the part of it that training here needs:
series, however they are resampled and scaled, and the features in `FEATURES`. A
test gives both the same readings, and compares each feature of each window.
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

    `config` is the plugin's configuration, `times` are seconds, rising, `readings`
    an array for each record, with nan where it was not read. As in the plugin,
    nothing is made up across more than `max_gap_ms`, and the windows start afresh
    after such a gap. A window without a point of some series has features of nan.
    """
    if config.get("derived") or config.get("correlations"):
        raise Unsupported("derived series and correlations")
    for series in config["series"]:
        if series["record"] not in readings:
            raise Unsupported(f"there is no column `{series['record']}`")
    step = config["step_ms"] * 1_000
    length, gap = config["length"], config["max_gap_ms"] * 1_000
    times = np.round(np.asarray(times) * 1e6).astype(np.int64)
    heard = np.any([np.isfinite(readings[s["record"]]) for s in config["series"]], axis=0)
    heard = times[heard]
    scales = [Scale(series.get("normalise", "none"), step / 1e6) for series in config["series"]]
    ends, rows = [], []
    for run in np.split(heard, np.flatnonzero(np.diff(heard) > gap) + 1):
        starts = starts_in(run, config)
        if len(starts) == 0:
            continue
        grid = np.arange(starts[0], starts[-1] + length * step, step)
        columns = []
        for series, scale in zip(config["series"], scales):
            read = readings[series["record"]]
            mine = np.isfinite(read) & (times >= run[0]) & (times <= run[-1])
            values = points(times[mine], read[mine], grid, series.get("resample", "linear"), gap)
            base, by = scale.learn(values)
            places = (starts - starts[0]) // step
            window = np.lib.stride_tricks.sliding_window_view(values, length)[places]
            last = places + length - 1
            # A scale of 0 makes every point 0, as in the plugin.
            by = np.where(by[last] != 0, by[last], np.inf)[:, None]
            window = (window - base[last][:, None]) / by
            columns += [feature(name, window, step / 1e6) for name in series.get("features", [])]
        ends.append((starts + (length - 1) * step) / 1e6)
        rows.append(np.column_stack(columns))
    if not rows:
        return np.zeros(0), np.zeros((0, len(names(config))))
    return np.concatenate(ends), np.concatenate(rows)


def starts_in(run, config):
    """Where windows start among readings at these times, without a gap."""
    step = config["step_ms"] * 1_000
    hop = step * config["hop"]
    last = run[-1] - (config["length"] - 1) * step
    return np.arange(-(-run[0] // hop) * hop, last + 1, hop)


def points(times, values, grid, how, gap):
    """The series at the points of the grid; nan where nothing is near enough."""
    if len(times) == 0:
        return np.full(len(grid), np.nan)
    before = np.searchsorted(times, grid, side="right") - 1
    after = np.minimum(before + 1, len(times) - 1)
    from_time, from_value = times[before], values[before]
    if how == "hold":
        near, found = grid - from_time <= gap, from_value
    else:
        exact = from_time == grid
        span = times[after] - from_time
        near = exact | ((span > 0) & (span <= gap))
        part = np.where(exact, 0, (grid - from_time) / np.maximum(span, 1))
        found = from_value + (values[after] - from_value) * part
    return np.where((before >= 0) & near, found, np.nan)


class Scale:
    """What is subtracted from points, and what they are divided by.

    What was learned outlives a gap, as in the plugin.
    """

    def __init__(self, how, step):
        self.how = how
        self.step = step
        self.seen = self.mean = self.variance = 0

    def learn(self, values):
        """Both, after each of these points."""
        zeros, ones = np.zeros(len(values)), np.ones(len(values))
        if self.how == "none":
            return zeros, ones
        if "standard" in self.how:
            return zeros + self.how["standard"]["mean"], ones * self.how["standard"]["std"]
        if "range" in self.how:
            least, most = self.how["range"]["min"], self.how["range"]["max"]
            return zeros + least, ones * (most - least)
        if "running" not in self.how:
            raise Unsupported(f"normalise = {self.how}")
        weight_min = 1 - np.exp(-self.step / self.how["running"]["seconds"])
        for place, value in enumerate(values):
            if np.isfinite(value):
                self.seen += 1
                weight = max(weight_min, 1 / self.seen)
                off = value - self.mean
                self.mean += weight * off
                self.variance = (1 - weight) * (self.variance + weight * off * off)
            zeros[place], ones[place] = self.mean, np.sqrt(self.variance)
        return zeros, ones


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
