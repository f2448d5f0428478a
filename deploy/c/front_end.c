/* The log-mel front end of data/features/front_end.py.
 *
 * A ring buffer holds the last WINDOW_LENGTH samples: no frame needs more, those at the ends of a
 * centred clip included, whose missing samples are reflections of the ones beside them.
 */
#include "front_end.h"

#include <math.h>

#include "spectrum.h"

#define LENGTH (SOUNDSTILL_CLIP_SAMPLES - LOST) /* samples of a clip after the pre-emphasis */

static int32_t received;    /* samples of this clip */
static int32_t frames_done; /* frames of this clip */
static float previous;      /* the last sample, before the pre-emphasis */

int32_t front_end_received(void)
{
    return received;
}

void front_end_restart(void)
{
    received = 0;
    frames_done = 0;
    previous = 0.0f;
}

/* Reflect a position before the start or after the end of the clip. */
static int32_t reflected(int32_t position)
{
    if (position < 0)
        return -position;
    return position < LENGTH ? position : 2 * (LENGTH - 1) - position;
}

/* The last position that the frame at `start` reads. */
static int32_t last_position(int32_t start)
{
    int32_t last = start + WINDOW_LENGTH - 1;
    if (-start > last)
        last = -start;
    return last < LENGTH ? last : LENGTH - 1;
}

static void remove_mean(float *frame)
{
    float sum = 0.0f;
    for (int32_t n = 0; n < WINDOW_LENGTH; n++)
        sum += frame[n];
    for (int32_t n = 0; n < WINDOW_LENGTH; n++)
        frame[n] -= sum / WINDOW_LENGTH;
}

static void pre_emphasise(float *frame)
{
    for (int32_t n = WINDOW_LENGTH - 1; n > 0; n--)
        frame[n] -= PRE_EMPHASIS * frame[n - 1];
    frame[0] -= PRE_EMPHASIS * frame[0];
}

/* Cut a frame from the ring buffer, window it, and pad it with zeros to the transform. */
static void cut_frame(const float *ring, int32_t start, float *frame)
{
    for (int32_t n = 0; n < WINDOW_LENGTH; n++)
        frame[n] = ring[reflected(start + n) % WINDOW_LENGTH];
    if (KALDI) {
        remove_mean(frame);
        pre_emphasise(frame);
    }
    for (int32_t n = 0; n < WINDOW_LENGTH; n++)
        frame[n] *= front_end_window[n];
    for (int32_t n = WINDOW_LENGTH; n < FFT_SIZE; n++)
        frame[n] = 0.0f;
}

static float logarithm(float energy)
{
    if (LOG_SCALE == 0.0f) /* none */
        return energy;
    if (LOG_OFFSET > 0.0f)
        return LOG_SCALE * logf(energy + LOG_OFFSET);
    return LOG_SCALE * logf(fmaxf(energy, LOG_FLOOR));
}

/* One row of the model's input: BANDS values. */
static void mel_frame(const float *bins, float *row)
{
    const float *weights = front_end_mel_weights;
    for (int32_t band = 0; band < BANDS; band++) {
        float energy = 0.0f;
        for (int32_t n = 0; n < front_end_mel_count[band]; n++)
            energy += *weights++ * bins[front_end_mel_first[band] + n];
        row[band] = (logarithm(energy) - front_end_mel_mean[band]) / front_end_mel_std[band];
    }
}

void front_end_push(float *arena, float sample)
{
    float *ring = arena + RING;
    float emphasised = KALDI ? sample : sample - PRE_EMPHASIS * previous;
    previous = sample;
    received++;
    if (received <= LOST)
        return;
    int32_t position = received - 1 - LOST;
    ring[position % WINDOW_LENGTH] = emphasised;
    while (frames_done < FRAMES) {
        int32_t start = frames_done * HOP_LENGTH - REFLECTED;
        if (last_position(start) > position)
            return;
        cut_frame(ring, start, arena + FRAME);
        front_end_spectrum(arena + FRAME, arena + BINS);
        mel_frame(arena + BINS, arena + MEL + frames_done * BANDS);
        frames_done++;
    }
}
