from report.frontier import on_frontier


def test_by_hand():
    costs = [1, 1, 2, 3, 3]
    scores = [0.5, 0.6, 0.6, 0.9, 0.7]
    # The second is as cheap as the first and better; the third no better and dearer; so the fifth.
    assert on_frontier(costs, scores).tolist() == [False, True, False, True, False]


def test_equals_stay_and_one_alone_is_on_it():
    assert on_frontier([2, 2], [0.5, 0.5]).tolist() == [True, True]
    assert on_frontier([2, 2], [0.41666666666666663, 0.4166666666666667]).tolist() == [True, True]
    assert on_frontier([2], [0.5]).tolist() == [True]
