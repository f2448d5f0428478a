/* The maximum or the mean of the values under a window that moves over each channel. */
#include <math.h>

#include "layers.h"

/* The values under a window, without those outside the map. */
typedef struct {
    float sum, largest;
    int32_t values;
} Pooled;

static Pooled pool(const Kernel *kernel, const float *in, int32_t top, int32_t left)
{
    Pooled pooled = {0.0f, -INFINITY, 0};
    for (int32_t y = 0; y < kernel->size.height; y++) {
        int32_t row = top + y * kernel->dilation.height;
        if (row < 0 || row >= kernel->in.height)
            continue;
        for (int32_t x = 0; x < kernel->size.width; x++) {
            int32_t column = left + x * kernel->dilation.width;
            if (column < 0 || column >= kernel->in.width)
                continue;
            float value = in[row * kernel->in.width + column];
            pooled.sum += value;
            pooled.largest = value > pooled.largest ? value : pooled.largest;
            pooled.values++;
        }
    }
    return pooled;
}

static Pooled pool_at(const Kernel *kernel, const float *in, int32_t row, int32_t column)
{
    return pool(kernel, in, row * kernel->stride.height - kernel->padding.height,
                column * kernel->stride.width - kernel->padding.width);
}

void layer_pool_largest(const Kernel *kernel, const float *in, float *out)
{
    for (int32_t row = 0; row < kernel->out.height; row++)
        for (int32_t column = 0; column < kernel->out.width; column++)
            *out++ = pool_at(kernel, in, row, column).largest;
}

static void pool_average(const Pooling *layer, const float *in, float *out)
{
    const Kernel *kernel = &layer->kernel;
    const int32_t all = kernel->size.height * kernel->size.width;
    for (int32_t row = 0; row < kernel->out.height; row++)
        for (int32_t column = 0; column < kernel->out.width; column++) {
            const Pooled pooled = pool_at(kernel, in, row, column);
            *out++ = pooled.sum / (float)(layer->counts_padding ? all : pooled.values);
        }
}

static int32_t values(Size size)
{
    return size.height * size.width;
}

void layer_max_pooling(const void *description, float *arena)
{
    const Pooling *layer = description;
    const Kernel *kernel = &layer->kernel;
    for (int32_t channel = 0; channel < layer->channels; channel++)
        layer_pool_largest(kernel, arena + layer->in + channel * values(kernel->in),
                           arena + layer->out + channel * values(kernel->out));
}

void layer_average_pooling(const void *description, float *arena)
{
    const Pooling *layer = description;
    const Kernel *kernel = &layer->kernel;
    for (int32_t channel = 0; channel < layer->channels; channel++)
        pool_average(layer, arena + layer->in + channel * values(kernel->in),
                     arena + layer->out + channel * values(kernel->out));
}
