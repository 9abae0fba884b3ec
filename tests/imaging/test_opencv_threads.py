import cv2

from fewshot_heads.imaging.opencv_threads import opencv_on_one_thread


def test_the_last_to_leave_gives_opencv_its_threads_back():
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        first, second = opencv_on_one_thread(), opencv_on_one_thread()
        first.__enter__()
        second.__enter__()
        assert cv2.getNumThreads() == 1
        first.__exit__(None, None, None)
        assert cv2.getNumThreads() == 1
        second.__exit__(None, None, None)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
