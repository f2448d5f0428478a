"""The sources of the street by their code in the taxonomy of SONYC-UST.

A source is a function of (rng, n, rate): n samples at rate Hz, finite, of no particular level,
audible at least once in the clip. It is dry and near; data.synthesis.street applies the distance.
Those of `rail` and `place` have no code: data.synthesis.scenes imports them.
"""

from collections.abc import Callable

from data.synthesis.signals import Array, Rng
from data.synthesis.sources.alert import car_alarm, car_horn, reverse_beeper, siren
from data.synthesis.sources.dog import dog
from data.synthesis.sources.engine import large_engine, medium_engine, small_engine
from data.synthesis.sources.impact import impact
from data.synthesis.sources.machinery import compactor, hoe_ram, jackhammer, pile_driver, rock_drill
from data.synthesis.sources.music import ice_cream_truck, mobile_music, stationary_music
from data.synthesis.sources.saw import chainsaw, large_saw, small_saw
from data.synthesis.sources.voice import amplified_speech, crowd, shouting, talking

Source = Callable[[Rng, int, int], Array]

SOURCES: dict[str, Source] = {
    "1-1": small_engine,
    "1-2": medium_engine,
    "1-3": large_engine,
    "2-1": rock_drill,
    "2-2": jackhammer,
    "2-3": hoe_ram,
    "2-4": pile_driver,
    "2-X": compactor,
    "3-1": impact,
    "4-1": chainsaw,
    "4-2": small_saw,
    "4-3": large_saw,
    "5-1": car_horn,
    "5-2": car_alarm,
    "5-3": siren,
    "5-4": reverse_beeper,
    "6-1": stationary_music,
    "6-2": mobile_music,
    "6-3": ice_cream_truck,
    "7-1": talking,
    "7-2": shouting,
    "7-3": crowd,
    "7-4": amplified_speech,
    "8-1": dog,
}
