/* The front end, the layers and the probabilities, in one arena of floats.
 *
 * The exporter has planned which part of the arena is used when; see sizes.h and model.c.
 */
#include "soundstill.h"

#include <math.h>

#include "front_end.h"
#include "layers.h"

static float arena[ARENA_FLOATS];

static void softmax(const float *logits, float *probabilities)
{
    float largest = logits[0], sum = 0.0f;
    for (int32_t k = 1; k < SOUNDSTILL_CLASSES; k++)
        largest = fmaxf(largest, logits[k]);
    for (int32_t k = 0; k < SOUNDSTILL_CLASSES; k++) {
        probabilities[k] = expf(logits[k] - largest);
        sum += probabilities[k];
    }
    for (int32_t k = 0; k < SOUNDSTILL_CLASSES; k++)
        probabilities[k] /= sum;
}

static void sigmoids(const float *logits, float *probabilities)
{
    for (int32_t k = 0; k < SOUNDSTILL_CLASSES; k++)
        probabilities[k] = 1.0f / (1.0f + expf(-logits[k]));
}

int32_t soundstill_push(const int16_t *samples, int32_t count)
{
    int32_t taken = 0;
    while (taken < count && !soundstill_is_complete())
        front_end_push(arena, (float)samples[taken++] / 32768.0f);
    return taken;
}

bool soundstill_is_complete(void)
{
    return front_end_received() == SOUNDSTILL_CLIP_SAMPLES;
}

void soundstill_predict(float probabilities[SOUNDSTILL_CLASSES])
{
    while (!soundstill_is_complete())
        front_end_push(arena, 0.0f);
    front_end_restart();
    for (int32_t n = 0; n < STEPS; n++)
        model_steps[n].run(model_steps[n].layer, arena);
    if (SINGLE_LABEL)
        softmax(arena + LOGITS, probabilities);
    else
        sigmoids(arena + LOGITS, probabilities);
}

bool soundstill_is_tag(const float probabilities[SOUNDSTILL_CLASSES], int32_t k)
{
    int32_t best = 0;
    if (!SINGLE_LABEL)
        return probabilities[k] >= soundstill_thresholds[k];
    for (int32_t n = 1; n < SOUNDSTILL_CLASSES; n++)
        if (probabilities[n] > probabilities[best])
            best = n;
    return k == best;
}
