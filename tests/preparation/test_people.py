"""Folders with an index of people: several pictures each, grouped by recording."""

import pytest

from fewshot_heads import BadInput
from fewshot_heads.preparation.people import read_people_index
from fewshot_heads.preparation.sources import find_sources

HEADER = "path\tidentity\tsplit\trecording\tkind\tyaw\tpitch\troll"


def write(folder, *rows, header=HEADER):
    (folder / "index.tsv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_find_sources__takes_each_recording_as_one_source(tmp_path):
    touch(tmp_path, "train/ann/1.jpg", "train/ann/2.jpg", "train/ann/3.jpg", "val/ben/1.jpg", "not_listed.jpg")
    write(
        tmp_path,
        "train/ann/2.jpg\tann\ttrain\tann_g1\tphoto\t1\t2\t3",
        "train/ann/1.jpg\tann\ttrain\tann_g1\tphoto\t\t\t",
        "train/ann/3.jpg\tann\ttrain\tann_g2\tphoto\t1\t2\t3",
        "val/ben/1.jpg\tben\tval\tben_g1\tphoto\t1\t2\t3",
    )
    sources = find_sources(tmp_path)
    assert [(source.name, source.identity, source.split, source.kind) for source in sources] == [
        ("ann/ann_g1", "ann", "train", "stills"),
        ("ann/ann_g2", "ann", "train", "stills"),
        ("ben/ben_g1", "ben", "val", "stills"),
    ]
    assert sources[0].files == ("train/ann/2.jpg", "train/ann/1.jpg") and sources[0].bytes == (15, 15)
    assert len(find_sources(tmp_path, people_in_folders=False)) == 5, "by face or by file, the index is not asked"


def test_read_people_index__gives_the_pose_where_it_is_known(tmp_path):
    write(tmp_path, "1.jpg\tann\tval\tg\tphoto\t-1.5\t2\t3", "2.jpg\tann\tval\tg\t\t\t\t")
    known, unknown = read_people_index(tmp_path)
    assert known.angles == (-1.5, 2.0, 3.0) and known.kind == "photo"
    assert unknown.angles is None and unknown.kind == ""


def test_read_people_index__needs_four_columns_only(tmp_path):
    write(tmp_path, "1.jpg\tann\tval\tg", header="path\tidentity\tsplit\trecording")
    assert read_people_index(tmp_path)[0].angles is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("1.jpg\tann\ttest\tg", "line 2: split 'test', expected train or val"),
        ("\tann\tval\tg", "line 2: path, identity and recording must not be empty"),
        ("../1.jpg\tann\tval\tg", "line 2: ../1.jpg lies outside of the folder"),
        ("/1.jpg\tann\tval\tg", "line 2: /1.jpg lies outside of the folder"),
        ("1.jpg\tann\tval\tg\tphoto\tleft\t0\t0", "line 2: could not convert"),
        ("1.jpg\tann", "line 2: path, identity and recording"),
        ("1.jpg\tann\tval\tg\tphoto\tnan\t0\t0", "line 2: an angle is no number"),
    ],
)
def test_read_people_index__names_the_line_that_cannot_be_read(tmp_path, row, told):
    write(tmp_path, row)
    with pytest.raises(BadInput, match=told):
        read_people_index(tmp_path)


def test_read_people_index__names_an_index_that_is_no_text(tmp_path):
    write(tmp_path)
    with (tmp_path / "index.tsv").open("ab") as file:
        file.write(b"\xff\xfe\t\n")
    with pytest.raises(BadInput, match=r"index.tsv, line 2: .*; correct the index"):
        read_people_index(tmp_path)


def test_an_index_without_its_columns_rows_or_pictures_says_so(tmp_path):
    with pytest.raises(BadInput, match="has no index.tsv"):
        read_people_index(tmp_path)
    write(tmp_path, "1.jpg\tann", header="path\tidentity")
    with pytest.raises(BadInput, match="no column 'split'"):
        read_people_index(tmp_path)
    write(tmp_path)
    with pytest.raises(BadInput, match="lists no pictures"):
        read_people_index(tmp_path)
    write(tmp_path, "1.jpg\tann\tval\tg")
    with pytest.raises(BadInput, match=r"lists 1.jpg, which is not there"):
        find_sources(tmp_path)
