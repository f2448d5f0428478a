"""The files of TAU Urban Acoustic Scenes on Zenodo and GitHub, with their sizes and md5s."""

from __future__ import annotations

RECORDS = {"2019": 2589280, "2020_mobile": 3819968, "2022_mobile": 6337421}
URL = "https://zenodo.org/records/{record}/files/{name}?download=1"
SUBSETS_URL = (
    "https://github.com/CPJKU/dcase2024_task1_baseline/releases/download/files/split{percent}.csv"
)
"""The training lists of DCASE 2024 Task 1; their sizes and checksums are not published."""

FILES = {
    "2019": (
        ("doc.zip", 11_299, "1f6879544e80da70099a191613e7e51f"),
        ("meta.zip", 156_863, "09782f2097e4735687af73c44919329c"),
        ("audio.1.zip", 1_657_550_587, "aca4ebfd9ed03d5f747d6ba8c24bc728"),
        ("audio.2.zip", 1_666_219_450, "c4f170408ce77c8c70c532bf268d7be0"),
        ("audio.3.zip", 1_817_901_591, "c7214a07211f10f3250290d05e72c37e"),
        ("audio.4.zip", 1_821_710_642, "a6a62110f6699cf4432072acb1dffda6"),
        ("audio.5.zip", 1_803_118_466, "091a0b6d3c84b8e60e46940aa7d4a8a0"),
        ("audio.6.zip", 1_789_566_029, "114f4ca13e074391b98a1cfd8140de65"),
        ("audio.7.zip", 1_747_953_866, "5951dd2968f7a514e2afbe279c4f060d"),
        ("audio.8.zip", 1_728_724_513, "b0b63dc95b327e1509857c8d8a663cc3"),
        ("audio.9.zip", 1_667_106_209, "3c32a693a6b111ffb957be3c1dd22e9b"),
        ("audio.10.zip", 1_632_636_175, "0ffbf60006da520cc761fb74c878b98b"),
        ("audio.11.zip", 1_671_793_546, "599055d93b4c11057c29be2df54538d4"),
        ("audio.12.zip", 1_672_592_150, "98b8d162ff3665695c4c910e6c372cc8"),
        ("audio.13.zip", 1_673_481_614, "a356c08b1a5a21d433eba37ef87587f4"),
        ("audio.14.zip", 1_666_137_450, "f8969771e7faf7dd471d1cf78b0cf011"),
        ("audio.15.zip", 1_675_127_004, "4758c4b0fb7484faa632266e78850820"),
        ("audio.16.zip", 1_648_240_966, "a18acad9ede8ea76574216feb887f0bc"),
        ("audio.17.zip", 1_698_414_214, "1af7703484632f340da5c33662dc9632"),
        ("audio.18.zip", 1_731_093_704, "b67402bf3e08f4da394a7c18756c0fd2"),
        ("audio.19.zip", 1_745_153_640, "035db315f19106eb848b6f9b32bcc47c"),
        ("audio.20.zip", 1_774_038_704, "9cb28c74911bf8a3eadcf53f50a5b5d6"),
        ("audio.21.zip", 1_333_808_800, "0e44ed85c88ec036a9725b4dd1dfaea0"),
    ),
    "2020_mobile": (
        ("doc.zip", 18_066, "175f40dc3fec144347abad4d2962b7ae"),
        ("meta.zip", 214_159, "6eae9db553ce48e4ea246e34e50a3cf5"),
        ("audio.1.zip", 1_726_039_031, "b1e85b8a908d3d6a6ab73268f385d5c8"),
        ("audio.2.zip", 1_782_268_370, "4310a13cc2943d6ce3f70eba7ba4c784"),
        ("audio.3.zip", 1_870_468_865, "ed38956c4246abb56190c1e9b602b7b8"),
        ("audio.4.zip", 1_879_413_176, "97ab8560056b6816808dedc044dcc023"),
        ("audio.5.zip", 1_823_936_584, "b50f5e0bfed33cd8e52cb3e7f815c6cb"),
        ("audio.6.zip", 1_827_246_144, "fbf856a3a86fff7520549c899dc94372"),
        ("audio.7.zip", 1_728_630_243, "0dbffe7b6e45564da649378723284062"),
        ("audio.8.zip", 1_748_646_043, "bb6f77832bf0bd9f786f965beb251b2e"),
        ("audio.9.zip", 1_780_487_215, "a65596a5372eab10c78e08a0de797c9e"),
        ("audio.10.zip", 1_726_068_853, "2ad595819ffa1d56d2de4c7ed43205a6"),
        ("audio.11.zip", 1_744_480_272, "0ad29f7040a4e6a22cfd639b3a6738e5"),
        ("audio.12.zip", 1_738_707_195, "e5f4400c6b9697295fab4cf507155a2f"),
        ("audio.13.zip", 1_835_797_785, "8855ab9f9896422746ab4c5d89d8da2f"),
        ("audio.14.zip", 1_846_390_881, "092ad744452cd3e7de78f988a3d13020"),
        ("audio.15.zip", 1_869_032_508, "4b5eb85f6592aebf846088d9df76b420"),
        ("audio.16.zip", 436_971_777, "2e0a89723e58a3836be019e6996ae460"),
    ),
    "2022_mobile": (
        ("doc.zip", 16_819, "9c4f610bdb5d3e3e72a17d393a26452a"),
        ("meta.zip", 1_538_781, "419b6ff6570f1030730352dc80cd8d15"),
        ("audio.1.zip", 1_736_050_960, "8be14bdbd844481dce059ab31fbd2239"),
        ("audio.2.zip", 1_791_821_989, "e821abda49b069248bb75eab39df7575"),
        ("audio.3.zip", 1_878_561_499, "9c7897f78bb42ca0008936daddf3f8f3"),
        ("audio.4.zip", 1_887_825_128, "53ec3e37c0fc0be75f53c5abbc5300b8"),
        ("audio.5.zip", 1_832_871_840, "528422c33c5d10263203d2c61cb1f3be"),
        ("audio.6.zip", 1_836_165_296, "4759a9465c903e13e57d5e82e791fc28"),
        ("audio.7.zip", 1_737_838_582, "6d545fc83a55a17856a9ccc1ac9aff6b"),
        ("audio.8.zip", 1_758_317_867, "3a2916a9b5d3f43cc7a22a62b180b0d9"),
        ("audio.9.zip", 1_790_044_829, "071f664c86639ad730f7be4e3c39d886"),
        ("audio.10.zip", 1_736_836_871, "e0839d019e9b77ecbcbb0eff85965530"),
        ("audio.11.zip", 1_754_618_148, "fc60f1c83726be3963ae14fbcb95eeb4"),
        ("audio.12.zip", 1_748_795_940, "02246547f86c0a814dc63ec65d7033bb"),
        ("audio.13.zip", 1_844_234_922, "88ae9ef884665140d1572d8061725e00"),
        ("audio.14.zip", 1_854_884_822, "c3f400d74ae90e5190dc518cde43de47"),
        ("audio.15.zip", 1_877_789_093, "85594c6fe4f91c10aa2a410f748103b8"),
        ("audio.16.zip", 435_379_083, "6e2df8438c69f6789414aeba8cbad9d8"),
    ),
}
"""Edition -> the end of each file's name, its bytes, its md5."""
