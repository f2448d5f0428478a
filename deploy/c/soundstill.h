/* A student on a microcontroller: samples in, probabilities of the classes out.
 *
 *     soundstill_push(block, count);            as often as samples arrive
 *     if (soundstill_is_complete())
 *         soundstill_predict(probabilities);
 *
 * All memory is static. There is one student, and it is not reentrant: call it from one thread,
 * not from an interrupt.
 */
#ifndef SOUNDSTILL_H
#define SOUNDSTILL_H

#include <stdbool.h>
#include <stdint.h>

#include "clip.h" /* generated: SOUNDSTILL_SAMPLE_RATE, _CLIP_SAMPLES, _CLASSES */

extern const char *const soundstill_classes[SOUNDSTILL_CLASSES];
extern const float soundstill_thresholds[SOUNDSTILL_CLASSES]; /* lowest probabilities of tags */

/* Add mono samples to the clip. Returns how many were taken: fewer than `count` at its end. */
int32_t soundstill_push(const int16_t *samples, int32_t count);

/* Whether the clip has all of its SOUNDSTILL_CLIP_SAMPLES. */
bool soundstill_is_complete(void);

/* The probability of each class; the next sample starts a new clip. A short clip is padded with
 * silence. */
void soundstill_predict(float probabilities[SOUNDSTILL_CLASSES]);

/* Whether class k is a tag: its probability reaches its threshold. Of a student with one label per
 * clip, whether it is the most probable class. */
bool soundstill_is_tag(const float probabilities[SOUNDSTILL_CLASSES], int32_t k);

#endif
