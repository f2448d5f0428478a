/* Reads WAV files of 16 bits, mono, on a computer. */
#ifndef WAV_H
#define WAV_H

#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE *file;
    uint32_t samples_left;
} Wav;

/* NULL, or why the file cannot be used. Close wav->file afterwards unless it is NULL. */
const char *wav_open(Wav *wav, const char *path, uint32_t sample_rate);

/* Up to `count` samples; fewer at the end. */
int32_t wav_read(Wav *wav, int16_t *samples, int32_t count);

#endif
