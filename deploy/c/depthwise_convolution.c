/* A convolution of each channel by itself, whose outputs may be in the place of its inputs.
 *
 * No channel is larger than before, so that those that follow are still there when one is stored.
 */
#include <string.h>

#include "layers.h"

void layer_depthwise_convolution(const void *description, float *arena)
{
    const DepthwiseConvolution *layer = description;
    const Convolution *convolution = &layer->convolution;
    const Kernel *kernel = &convolution->kernel;
    const int32_t plane_out = kernel->out.height * kernel->out.width;
    float *plane = arena + layer->plane;
    for (int32_t channel = 0; channel < convolution->channels_out; channel++) {
        layer_convolve(convolution, channel, arena + convolution->in, plane);
        memcpy(arena + convolution->out + channel * plane_out, plane,
               (size_t)plane_out * sizeof(float));
    }
}
