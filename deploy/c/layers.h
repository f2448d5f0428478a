/* The layers of a model: constant descriptions, and the functions that run them.
 *
 * `in` and `out` are places in the arena, counted in floats. A map is (channels, height, width),
 * height being time and width frequency. A layer that no model step names is not linked.
 */
#ifndef LAYERS_H
#define LAYERS_H

#include <stdbool.h>
#include <stdint.h>

#include "sizes.h"

typedef struct {
    void (*run)(const void *layer, float *arena);
    const void *layer;
} Step;

extern const Step model_steps[STEPS]; /* generated: model.c */

/* A value that is not a number stays as it is. */
static inline float clipped(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

typedef struct {
    int32_t height, width;
} Size;

typedef struct {
    Size size, stride, dilation, padding; /* padding at the top and the left */
    Size in, out;                         /* of the maps */
} Kernel;

/* (weights x) scale + bias, clipped to low ... high. int8 weights have a scale per channel. */
typedef struct {
    int32_t in, out;
    int32_t channels_out, group_in, group_out; /* channels: all, and those of one group */
    Kernel kernel;
    const Weight *weights; /* (channels_out, group_in, height, width) */
    const float *scales;   /* NULL: 1 */
    const float *biases;   /* NULL: 0 */
    float low, high;
} Convolution;
void layer_convolution(const void *layer, float *arena);
void layer_convolve(const Convolution *layer, int32_t channel, const float *in, float *plane);

typedef struct {
    Convolution convolution;
    int32_t plane; /* one channel of the output */
} DepthwiseConvolution;
void layer_depthwise_convolution(const void *layer, float *arena);

typedef struct {
    int32_t in, out;
    int32_t values_in, values_out;
    const Weight *weights; /* (values_out, values_in) */
    const float *scales, *biases;
    float low, high;
} Linear;
void layer_linear(const void *layer, float *arena);

typedef struct {
    int32_t in, out;
    int32_t channels;
    Kernel kernel;
    bool counts_padding; /* of an average: its zeros are values */
} Pooling;
void layer_max_pooling(const void *layer, float *arena);
void layer_average_pooling(const void *layer, float *arena);
void layer_pool_largest(const Kernel *kernel, const float *in, float *out);

/* A convolution whose channels are pooled one by one: a single one is stored in full size. */
typedef struct {
    Convolution convolution;
    Pooling pooling;
} PooledConvolution;
void layer_pooled_convolution(const void *layer, float *arena);

/* (before, values, after) -> (before, after). */
typedef struct {
    int32_t in, out;
    int32_t before, values, after;
} Reduction;
void layer_maximum(const void *layer, float *arena);
void layer_mean(const void *layer, float *arena);

/* left OP right on four axes; an operand that is repeated along an axis has a stride of 0. */
typedef struct {
    int32_t left, right, out;
    const float *constant; /* in place of right, unless NULL */
    int32_t shape[4], left_strides[4], right_strides[4];
} Arithmetic;
void layer_add(const void *layer, float *arena);
void layer_subtract(const void *layer, float *arena);
void layer_multiply(const void *layer, float *arena);
void layer_divide(const void *layer, float *arena);

typedef struct {
    int32_t in, out, values;
    float a, b; /* clip: from a to b; hard sigmoid: a x + b clipped to 0 ... 1 */
} Pointwise;
void layer_clip(const void *layer, float *arena);
void layer_square_root(const void *layer, float *arena);
void layer_sigmoid(const void *layer, float *arena);
void layer_hard_sigmoid(const void *layer, float *arena);

/* Rows of a matrix into a wider one: a part of a concatenation. */
typedef struct {
    int32_t in, out, rows, width, out_width;
} Copy;
void layer_copy(const void *layer, float *arena);

#endif
