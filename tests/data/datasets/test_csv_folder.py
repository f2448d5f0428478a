import json
import re

import numpy as np
import pytest

from config import ConfigError, UserError
from data.datasets.csv_folder import CsvFolder
from data.tables.clips import ClipTable
from data.tables.splits import split_clips


def write(root, text, name="clips.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root


def test_one_label_splits_and_extras(tmp_path):
    root = write(
        tmp_path,
        "filename,label,split,device,group\n"
        "street/1.flac,siren,train,a,corner\n"
        "park/2.wav, dog ,validate,b,park\n"
        "park/3.wav,dog,test,,park\n",
    )
    dataset = CsvFolder()
    table = dataset.table(root)
    assert (dataset.task, dataset.metric) == ("single_label", "accuracy")
    assert table.task == "single_label"
    assert table.classes == ("dog", "siren")
    assert list(table.ids) == ["park/2.wav", "park/3.wav", "street/1.flac"]
    assert table.targets[:].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert list(table.frame["path"]) == [(root / name).as_posix() for name in table.ids]
    assert list(table.frame["split"]) == ["validate", "test", "train"]
    assert list(table.frame["group"]) == ["park", "park", "corner"]
    assert list(table.frame["device"]) == ["b", "", "a"]
    assert table.folds == 0
    assert table.frame["seconds"].isna().all()


def test_several_labels_and_folds_survive_a_file(tmp_path):
    root = write(
        tmp_path,
        "filename,labels,fold\na.wav,dog;siren,1\nb.wav,,2\nc.wav,siren; dog ;,10\n",
        "tags.csv",
    )
    dataset = CsvFolder(csv="tags.csv", task="multi_label")
    assert dataset.metric == "mean_average_precision"
    assert CsvFolder(task="multi_label", metric="roc_auc").metric == "roc_auc"
    table = dataset.table(root)
    assert table.task == "multi_label"
    assert table.targets[:].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert list(table.frame["fold"]) == [1, 2, 10]
    assert table.folds == 10
    table.write(tmp_path)
    again = ClipTable.read(tmp_path)
    assert again.classes == table.classes
    np.testing.assert_array_equal(again.targets[:], table.targets[:])


def test_segments_of_one_recording_are_separate_clips(tmp_path):
    root = write(
        tmp_path,
        "filename,label,split,start_seconds,seconds\n"
        "day.wav,dog,train,,\nday.wav,cat,train,12.5,10\nday.wav,cat,train,12.50001,3\n",
    )
    table = CsvFolder().table(root)
    assert list(table.ids) == ["day.wav", "day.wav#12.5", "day.wav#12.50001"]
    assert list(table.frame["start_seconds"]) == [0, 12.5, 12.50001]
    assert table.frame["seconds"].fillna(-1).tolist() == [-1, 10, 3]
    assert set(table.frame["path"]) == {(root / "day.wav").as_posix()}


def test_two_paths_of_one_file_are_one_recording(tmp_path):
    (tmp_path / "one.wav").write_bytes(b"sound")
    (tmp_path / "again.wav").symlink_to("one.wav")
    (tmp_path / "linked").symlink_to(".", target_is_directory=True)
    names = (
        "one.wav",
        "again.wav",
        "./x/../one.wav",
        "linked/one.wav",
        "linked/again.wav",
        "b.wav",
    )
    lines = (f"{name},dog,{'train' if n else 'test'}" for n, name in enumerate(names))
    table = CsvFolder().table(write(tmp_path, "\n".join(("filename,label,split", *lines))))
    assert len(table) == 6
    path = (tmp_path / "one.wav").as_posix()
    assert sorted(table.columns["path"]) == [(tmp_path / "b.wav").as_posix(), *[path] * 5]
    with pytest.raises(UserError, match="the recording '.*one.wav' is in both the training and"):
        split_clips(table, 0, "held_out", 0.0)


def test_soft_targets_have_the_notation_of_clips_csv(tmp_path):
    root = write(
        tmp_path,
        "filename,label,split\n"
        "a.wav,dog=0.7;rain=0.3,train\nb.wav,dog=1,train\nc.wav, rain = 1 ,validate\n"
        "d.wav,a=b,test\n",
    )
    table = CsvFolder().table(root)
    assert table.classes == ("a=b", "dog", "rain")
    expected = np.float32([[0, 0.7, 0.3], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(table.targets[:], expected)
    texts = table.targets.texts(table.classes)
    assert texts[0] == "dog=0.699999988;rain=0.300000012"
    lines = [f"{name}.wav,{text},train" for name, text in zip("abcd", texts, strict=True)]
    again = write(tmp_path, "\n".join(("filename,label,split", *lines)))
    np.testing.assert_array_equal(CsvFolder().table(again).targets[:], expected)


def test_tags_can_have_soft_targets_of_any_sum(tmp_path):
    root = write(tmp_path, "filename,labels,split\na.wav,dog=0.9;rain;cat=0,train\nb.wav,,test\n")
    table = CsvFolder(task="multi_label").table(root)
    assert table.classes == ("cat", "dog", "rain")
    np.testing.assert_array_equal(table.targets[:], np.float32([[0, 0.9, 1], [0, 0, 0]]))


@pytest.mark.parametrize("label", ["Chime, bell", "1/f noise, pink", "Chime|bell", "R&B"])
def test_a_class_may_have_a_comma(tmp_path, label):
    root = write(tmp_path, f'filename,labels,split\na.wav,"{label};Bell",train\n')
    assert CsvFolder(task="multi_label").table(root).classes == tuple(sorted((label, "Bell")))


@pytest.mark.parametrize("label", ["dog,animal", "dog, cat", "dog|cat", "cat / dog", "x, dog,y"])
def test_tags_with_another_separator_are_refused_with_the_line(tmp_path, label):
    text = f'filename,labels,split\na.wav,dog;cat,train\nb.wav,"{label}",train\n'
    root = write(tmp_path, text)
    listed = ";".join(part.strip() for part in re.split("[,|/]", label))
    message = (
        f"clips.csv line 3: found the label {label!r}; labels are separated by ';': {listed!r}"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        CsvFolder(task="multi_label").table(root)
    classes = root / "classes.json"
    classes.write_text(json.dumps({"classes": ["dog", "cat", label]}))
    found = CsvFolder(task="multi_label", classes=(str(classes),)).table(root)
    assert found.targets[:].tolist() == [[1, 1, 0], [0, 0, 1]]


def test_an_empty_label_is_no_label(tmp_path):
    root = write(tmp_path, "filename,label,split\na.wav,dog,train\nb.wav, ,train\nc.wav,cat,test\n")
    table = CsvFolder().table(root)
    assert table.labelled.tolist() == [True, False, True]
    assert table.targets[:].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert table.classes == ("cat", "dog")


def test_an_empty_cell_of_tags_means_none_of_them_unless_it_is_set_otherwise(tmp_path):
    root = write(tmp_path, "filename,labels,split\na.wav,dog,train\nb.wav,,train\n")
    assert CsvFolder(task="multi_label").table(root).labelled.all()
    found = CsvFolder(task="multi_label", empty_labels="unlabelled").table(root)
    assert found.labelled.tolist() == [True, False]


def test_classes_are_given_in_an_order_or_in_the_file_of_features(tmp_path):
    root = write(tmp_path, "filename,label,split\na.wav,,train\nb.wav,dog,test\n")
    table = CsvFolder(classes=("wolf", "dog")).table(root)
    assert table.classes == ("wolf", "dog")
    assert table.targets[[1]].tolist() == [[0, 1]]
    (tmp_path / "features").mkdir()
    table.write(tmp_path / "features")
    again = CsvFolder(classes=(str(tmp_path / "features/classes.json"),)).table(root)
    assert again.classes == ("wolf", "dog")
    with pytest.raises(UserError, match="clip 'b.wav' has the unknown label 'dog'"):
        CsvFolder(classes=("wolf",)).table(root)
    with pytest.raises(ConfigError, match="classes: found nowhere.json, which has no classes"):
        CsvFolder(classes=("nowhere.json",)).table(root)


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path):
    text = '\ufefffilename,label,split\r\n"a, b.wav",hündin,train\r\n\r\nc.wav,dog,test\r\n'
    (tmp_path / "clips.csv").write_bytes(text.encode())
    table = CsvFolder().table(tmp_path)
    assert list(table.ids) == ["a, b.wav", "c.wav"]
    assert table.classes == ("dog", "hündin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "clips.csv: no column 'filename' "),
        ("file,label,split\na.wav,dog,train\n", r"no column 'filename' \(it has file, label"),
        (
            "filename;label;split\na.wav;dog;train\n",
            "its columns are separated by ';', expected ','",
        ),
        (
            "filename,split\na.wav,train\n",
            "expected one of the columns label and labels, found neither",
        ),
        ("filename,label,labels,split\na.wav,dog,dog,train\n", "found label and labels"),
        (
            "filename,label\na.wav,dog\n",
            "expected one of the columns split and fold, found neither",
        ),
        ("filename,label,split,fold\na.wav,dog,train,1\n", "found split and fold"),
        ("filename,label,split,split\na.wav,dog,train,test\n", "two columns have the same name"),
        ("filename,label,split,path\na.wav,dog,train,x\n", "may not be called 'path'; rename it"),
        ("filename,label,split,\na.wav,dog,train,\n", "may not be called ''"),
        ("filename,label,split\n", "clips.csv: "),
        (
            "filename,label,split\na.wav,audio_filename,train\n",
            "classes: found 'audio_filename'",
        ),
        ("filename,label,split\na.wav,,train\n", "no clip has a label; set .data. CLASSES to the"),
        ("filename,label,split,labelled\na.wav,dog,train,x\n", "may not be called 'labelled'"),
        ("filename,label,split\n\na.wav,dog;cat,train\n", "line 3: found 2 labels, 'dog;cat'"),
        (
            "filename,label,split\na.wav,dog=0.5;cat=0.3,train\n",
            "line 2: .* sum to 0.8, expected",
        ),
        (
            "filename,label,split\na.wav,dog=1.5,train\n",
            "line 2: found 'dog=1.5', expected a tar",
        ),
        (
            "filename,label,split\na.wav,dog=nan,train\n",
            "line 2: found 'dog=nan', expected a tar",
        ),
        (
            "filename,label,split\na.wav,dog=0.5;dog,train\n",
            "line 2: found 'dog' with two targets, 'dog=0.5;dog'",
        ),
        (
            "filename,label,split\na.wav,dog=0.5;cat=0.5,validate\n",
            "line 2: found 'dog=0.5;cat=0.5', but soft targets are for training clips",
        ),
        (
            "filename,label,fold\na.wav,dog=0.5;cat=0.5,1\n",
            "line 2: found 'dog=0.5;cat=0.5', but soft targets are for training clips",
        ),
        ("filename,label,split\na.wav,dog,dev\n", "line 2: split is 'dev', expected train, val"),
        ("filename,label,split\na.wav,dog,\n", "line 2: split is ''"),
        ("filename,label,fold\na.wav,dog,0\n", "line 2: fold is '0', expected 1, 2, 3"),
        ("filename,label,fold\na.wav,dog,one\n", "line 2: fold is 'one'"),
        ("filename,label,fold\n,dog,1\n", "line 2: no filename"),
        ("filename,label,split\na.wav,dog,train\na.wav,cat,test\n", "line 3: clip 'a.wav' is in"),
        ("filename,label,split\na.wav,dog\n", "line 2: expected 3 fields"),
        ("filename,label,split\na.wav,dog,train,more\n", "line 2: expected 3 fields"),
        ("filename,label,split,seconds\na.wav,dog,train,0\n", "line 2: seconds is '0'"),
        ("filename,label,split,seconds\na.wav,dog,train,nan\n", "line 2: seconds is 'nan'"),
        (
            "filename,label,split,start_seconds\na.wav,dog,train,-1\n",
            "line 2: start_seconds is '-1'",
        ),
        (
            "filename,label,split,start_seconds\na.wav,dog,train,1m\n",
            "line 2: start_seconds is '1m'",
        ),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        CsvFolder().table(write(tmp_path, text))


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        *(("val", "validate"), ("Valid", "validate"), ("validation", "validate")),
        *(("dev", "train"), ("training", "train"), ("Train", "train"), ("Test ", "test")),
        *(("eval", "test"), ("evaluation", "test"), ("testing", "test")),
    ],
)
def test_the_split_names_of_other_data_sets_are_translated(tmp_path, found, meant):
    root = write(tmp_path, f"filename,label,split\na.wav,dog,{found}\n")
    with pytest.raises(
        UserError, match=f"line 2: split is '{found.strip()}'.*did you mean '{meant}'"
    ):
        CsvFolder().table(root)


@pytest.mark.parametrize(
    ("header", "found", "meant"),
    [
        *(("file,label,split", "file", "filename"), ("Path,label,split", "Path", "filename")),
        *(("filename,class,split", "class", "label"), ("filename,tags,split", "tags", "labels")),
        *(("filename,category,fold", "category", "label"), ("filename,label,set", "set", "split")),
    ],
)
def test_the_column_names_of_other_data_sets_are_translated(tmp_path, header, found, meant):
    root = write(tmp_path, f"{header}\na.wav,dog,1\n")
    with pytest.raises(UserError, match=f"rename '{found}' to '{meant}'?"):
        CsvFolder().table(root)


def test_a_start_of_zero_is_no_start(tmp_path):
    text = "filename,label,split,start_seconds\na.wav,dog,train,\na.wav,dog,train,0.0\n"
    with pytest.raises(UserError, match="line 3: clip 'a.wav' is in the table already"):
        CsvFolder().table(write(tmp_path, text))


def test_recordings_without_any_label_are_refused(tmp_path):
    root = write(tmp_path, "filename,labels,split\na.wav,,train\n")
    with pytest.raises(UserError, match="no clip has a label"):
        CsvFolder(task="multi_label").table(root)


def test_a_table_without_rows_is_refused(tmp_path):
    root = write(tmp_path, "filename,label,split\n")
    with pytest.raises(UserError, match=r"clips\.csv: has no rows below its header$"):
        CsvFolder().table(root)


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "clips.csv").write_bytes(b"filename,label,split\n\xff\xfe,a,train\n")
    with pytest.raises(UserError, match="clips.csv: not a CSV file in UTF-8"):
        CsvFolder().table(tmp_path)


def test_the_message_about_a_missing_table_names_the_fix(tmp_path):
    wanted = r"clips.csv: no such file; set data.root .*, or DATASET = folder, if each class is"
    with pytest.raises(UserError, match=wanted):
        CsvFolder().table(tmp_path / "nowhere")
    with pytest.raises(UserError, match="put them and clips.csv into"):
        CsvFolder().download(tmp_path)
