/* Convolution, plane by plane: each tap of the kernel adds a shifted input plane.
 *
 * The innermost loop has neither a branch nor an index computation, for any stride, dilation,
 * padding and number of groups.
 */
#include <stddef.h>

#include "layers.h"

/* The outputs first <= n < end whose input n stride + offset is inside the map. */
typedef struct {
    int32_t first, end;
} Range;

static Range inside(int32_t offset, int32_t stride, int32_t size_in, int32_t size_out)
{
    Range range = {0, 0};
    if (offset < 0)
        range.first = (-offset + stride - 1) / stride;
    if (offset < size_in)
        range.end = (size_in - 1 - offset) / stride + 1;
    if (range.end > size_out)
        range.end = size_out;
    return range;
}

static void add_tap(const Kernel *kernel, Size tap, float weight, const float *in, float *out)
{
    const int32_t stride = kernel->stride.width;
    const int32_t above = tap.height * kernel->dilation.height - kernel->padding.height;
    const int32_t left = tap.width * kernel->dilation.width - kernel->padding.width;
    const Range rows = inside(above, kernel->stride.height, kernel->in.height, kernel->out.height);
    const Range columns = inside(left, stride, kernel->in.width, kernel->out.width);
    for (int32_t row = rows.first; row < rows.end; row++) {
        const float *from = in + (row * kernel->stride.height + above) * kernel->in.width + left;
        float *to = out + row * kernel->out.width;
        for (int32_t column = columns.first; column < columns.end; column++)
            to[column] += weight * from[column * stride];
    }
}

static void finish(const Convolution *layer, int32_t channel, float *plane)
{
    const float scale = layer->scales ? layer->scales[channel] : 1.0f;
    const float bias = layer->biases ? layer->biases[channel] : 0.0f;
    const int32_t values = layer->kernel.out.height * layer->kernel.out.width;
    for (int32_t n = 0; n < values; n++)
        plane[n] = clipped(plane[n] * scale + bias, layer->low, layer->high);
}

void layer_convolve(const Convolution *layer, int32_t channel, const float *in, float *plane)
{
    const Kernel *kernel = &layer->kernel;
    const int32_t taps = kernel->size.height * kernel->size.width;
    const int32_t plane_in = kernel->in.height * kernel->in.width;
    const Weight *weights = layer->weights + channel * layer->group_in * taps;
    for (int32_t n = 0; n < kernel->out.height * kernel->out.width; n++)
        plane[n] = 0.0f;
    in += channel / layer->group_out * layer->group_in * plane_in;
    for (int32_t c = 0; c < layer->group_in; c++, in += plane_in)
        for (Size tap = {0, 0}; tap.height < kernel->size.height; tap.height++)
            for (tap.width = 0; tap.width < kernel->size.width; tap.width++)
                add_tap(kernel, tap, (float)*weights++, in, plane);
    finish(layer, channel, plane);
}

void layer_convolution(const void *description, float *arena)
{
    const Convolution *layer = description;
    const int32_t plane_out = layer->kernel.out.height * layer->kernel.out.width;
    for (int32_t channel = 0; channel < layer->channels_out; channel++)
        layer_convolve(layer, channel, arena + layer->in, arena + layer->out + channel * plane_out);
}
