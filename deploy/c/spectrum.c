/* The Fourier transform of real samples.
 *
 * For a power of two, the even samples are the real and the odd ones the imaginary parts of half
 * as many complex numbers, which a radix-2 FFT transforms in place; the bins of the real samples
 * follow from theirs. For other sizes it is the plain sum, which takes many times as long.
 */
#include "spectrum.h"

#include <math.h>
#include <stdint.h>

static float size_of_bin(float real, float imaginary)
{
    float power = real * real + imaginary * imaginary;
    return POWER_SPECTRUM ? power : sqrtf(power);
}

#if FFT_IS_FAST

#define HALF (FFT_SIZE / 2) /* complex numbers */

static void swap_complex(float *numbers, int32_t a, int32_t b)
{
    for (int32_t part = 0; part < 2; part++) {
        float kept = numbers[2 * a + part];
        numbers[2 * a + part] = numbers[2 * b + part];
        numbers[2 * b + part] = kept;
    }
}

/* Reorder the numbers by their indices with the bits reversed. */
static void reverse_bits(float *numbers)
{
    int32_t reversed = 0;
    for (int32_t n = 1; n < HALF; n++) {
        int32_t bit = HALF / 2;
        while (reversed & bit) {
            reversed ^= bit;
            bit /= 2;
        }
        reversed |= bit;
        if (n < reversed)
            swap_complex(numbers, n, reversed);
    }
}

/* a, b -> a + w b, a - w b with w = e^(-2 pi i turn / FFT_SIZE). */
static void butterfly(float *a, float *b, int32_t turn)
{
    float cosine = front_end_spectrum_cosines[turn], sine = front_end_spectrum_sines[turn];
    float real = cosine * b[0] + sine * b[1];
    float imaginary = cosine * b[1] - sine * b[0];
    b[0] = a[0] - real;
    b[1] = a[1] - imaginary;
    a[0] += real;
    a[1] += imaginary;
}

static void complex_fft(float *numbers)
{
    reverse_bits(numbers);
    for (int32_t length = 1; length < HALF; length *= 2)
        for (int32_t first = 0; first < HALF; first += 2 * length)
            for (int32_t n = 0; n < length; n++) {
                float *a = numbers + 2 * (first + n);
                butterfly(a, a + 2 * length, n * (HALF / length));
            }
}

void front_end_spectrum(float *frame, float *bins)
{
    complex_fft(frame);
    bins[0] = size_of_bin(frame[0] + frame[1], 0.0f);
    bins[HALF] = size_of_bin(frame[0] - frame[1], 0.0f);
    for (int32_t k = 1; k < HALF; k++) {
        const float *z = frame + 2 * k, *mirror = frame + 2 * (HALF - k);
        float even_real = 0.5f * (z[0] + mirror[0]), even_imaginary = 0.5f * (z[1] - mirror[1]);
        float odd_real = 0.5f * (z[1] + mirror[1]), odd_imaginary = 0.5f * (mirror[0] - z[0]);
        float cosine = front_end_spectrum_cosines[k], sine = front_end_spectrum_sines[k];
        bins[k] = size_of_bin(even_real + cosine * odd_real + sine * odd_imaginary,
                              even_imaginary + cosine * odd_imaginary - sine * odd_real);
    }
}

#else

void front_end_spectrum(float *frame, float *bins)
{
    for (int32_t k = 0; k <= FFT_SIZE / 2; k++) {
        float real = 0.0f, imaginary = 0.0f;
        int32_t turn = 0; /* k n modulo FFT_SIZE */
        for (int32_t n = 0; n < WINDOW_LENGTH; n++) { /* the rest is zero */
            real += frame[n] * front_end_spectrum_cosines[turn];
            imaginary -= frame[n] * front_end_spectrum_sines[turn];
            turn = (turn + k) % FFT_SIZE;
        }
        bins[k] = size_of_bin(real, imaginary);
    }
}

#endif
