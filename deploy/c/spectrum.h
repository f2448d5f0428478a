/* A frame -> the magnitude or the power of its Fourier transform. */
#ifndef SPECTRUM_H
#define SPECTRUM_H

#include "sizes.h"

/* Generated: one turn in FFT_SIZE steps; half a turn is enough for the fast transform. */
extern const float front_end_spectrum_cosines[TURN];
extern const float front_end_spectrum_sines[TURN];

/* `frame` has FFT_SIZE samples and is overwritten; `bins` has FFT_SIZE / 2 + 1 values. */
void front_end_spectrum(float *frame, float *bins);

#endif
