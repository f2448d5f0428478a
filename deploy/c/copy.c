/* One part of a concatenation. */
#include <string.h>

#include "layers.h"

void layer_copy(const void *description, float *arena)
{
    const Copy *layer = description;
    for (int32_t row = 0; row < layer->rows; row++)
        memcpy(arena + layer->out + row * layer->out_width, arena + layer->in + row * layer->width,
               (size_t)layer->width * sizeof(float));
}
