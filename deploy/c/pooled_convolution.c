/* A convolution and its max pooling, channel by channel.
 *
 * One channel is stored in full size, not all: the first layers of a network of convolutions and
 * pooling would need most of the memory otherwise.
 */
#include "layers.h"

void layer_pooled_convolution(const void *description, float *arena)
{
    const PooledConvolution *layer = description;
    const Kernel *kernel = &layer->pooling.kernel;
    const int32_t plane_out = kernel->out.height * kernel->out.width;
    float *plane = arena + layer->pooling.in;
    for (int32_t channel = 0; channel < layer->pooling.channels; channel++) {
        layer_convolve(&layer->convolution, channel, arena + layer->convolution.in, plane);
        layer_pool_largest(kernel, plane, arena + layer->pooling.out + channel * plane_out);
    }
}
