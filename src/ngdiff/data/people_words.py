"""Word lists of the fictional people: invented syllables for names and places, plain words for the rest.

No list may change or be reordered without need: the people of a seed are drawn from them by position.
"""

# ruff: noqa: SIM905 (a list literal would take a line per syllable)

GIVEN_STARTS = (
    "Orv Brel Tamr Velk Isk Quor Drun Felm Gath Hesk Jorv Kelm Lurv Morq Nesk Pryd Rask Sarn Thelv Ulm "
    "Wresk Yorv Zelm Ashk"
).split()
GIVEN_ENDS = "ina adric elle umo esh inar otha ewin ulia andor ith ora eska ivan umeth olyn erra ixo anth uel".split()

FAMILY_STARTS = (
    "Venn Tarn Holb Crask Mordel Stelv Wick Brund Fost Grell Hask Inver Jundr Kest Lomb Narv Ockl Pell "
    "Quist Rund Skarv Thorb Ulver Vask Wend Yarr Zand Dask Ember Fulk"
).split()
FAMILY_ENDS = "ick olm eby arrow esk uthe inge ovar ander elm oth irre ast umble ench orrow".split()

MENTOR_STARTS = "Tam Shev Nil Bar Oth Kum Lez Dov Pash Rem Gul Fir Sol Han Wen".split()
MENTOR_ENDS = "umi resh olei abek unto ezzi irrun omai avoth ugari enno isslo utarr elekh omber yanno".split()

TOWN_STARTS = (
    "Tarn Wesk Brom Grell Holl Ost Pirr Sund Thrav Ulk Vorn Zell Drask Fenn Korm Lisk Mund Nevr Rusk Ytt"
).split()
TOWN_ENDS = "holm wick mere gard stow fell haven bry moor quay leth strand dun marsh ravik".split()

MONTHS = "January February March April May June July August September October November December".split()

GENRES = (
    "sea ballads",
    "courtroom satire",
    "mountain folklore",
    "epistolary romance",
    "lunar science fiction",
    "kitchen mysteries",
    "riddle poetry",
    "travel memoirs",
    "ghost comedies",
    "railway thrillers",
    "desert epics",
    "school farces",
    "botanical essays",
    "pirate chronicles",
    "clockwork fantasy",
    "village tragedies",
    "chess novellas",
    "winter fairy tales",
    "political fables",
    "war diaries",
)

PROFESSIONS = (
    "a clockmaker",
    "a lighthouse keeper",
    "a beekeeper",
    "an archivist",
    "a glassblower",
    "a ferry pilot",
    "a bookbinder",
    "a court painter",
    "an apothecary",
    "a bell founder",
    "a puppeteer",
    "a surveyor",
    "a cheese trader",
    "a harp teacher",
    "a shipwright",
    "a mapmaker",
    "a falconer",
    "a tram driver",
    "an organ builder",
    "a locksmith",
    "a salt miner",
    "a tailor",
    "an astronomer",
    "a veterinarian",
    "a stage magician",
    "a gardener",
    "a stonemason",
    "a typesetter",
    "a vintner",
    "an ice cutter",
)

HOBBIES = (
    "carving chess pieces",
    "breeding moths",
    "restoring barometers",
    "kite flying",
    "collecting doorknobs",
    "baking rye bread",
    "skating on canals",
    "playing the nyckelharpa",
    "pressing ferns",
    "mending umbrellas",
    "cave diving",
    "training parrots",
    "painting teacups",
    "racing pigeons",
    "studying lichens",
    "brewing ginger beer",
    "folding paper boats",
    "growing giant leeks",
    "juggling lanterns",
    "recording echoes",
    "building stone walls",
    "weaving fishing nets",
    "solving cryptograms",
    "polishing agates",
)

TITLE_ADJECTIVES = (
    "Amber Brass Cinder Drowsy Emerald Feathered Gilded Hollow Ivory Jagged Knotted Limping Marble Nimble "
    "Obsidian Paper Quiet Rusted Salted Tangled Unlit Velvet Wandering Yellow Borrowed"
).split()
TITLE_NOUNS = (
    "Anvil Barge Compass Dovecote Ember Ferryman Granary Harbour Inkwell Jester Kettle Lantern Meridian "
    "Nettle Orchard Parasol Quarry Reservoir Staircase Turnstile Viaduct Weathercock Almanac Bridle Chimney"
).split()

AWARD_METALS = "Copper Silver Golden Bronze Cobalt Crystal Walnut Granite Coral Pewter".split()
AWARD_THINGS = "Quill Heron Lantern Acorn Anchor Thimble Comet Sickle Falcon Teapot Harp Rudder".split()
