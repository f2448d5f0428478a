/* Two operands, value by value; one may be a constant, or repeated along some axes. */
#include <stddef.h>

#include "layers.h"

typedef float (*Operation)(float left, float right);

static float sum(float left, float right) { return left + right; }
static float difference(float left, float right) { return left - right; }
static float product(float left, float right) { return left * right; }
static float quotient(float left, float right) { return left / right; }

static int32_t place(const int32_t strides[4], const int32_t index[4])
{
    return strides[0] * index[0] + strides[1] * index[1] + strides[2] * index[2];
}

/* The output may be in the place of an operand that is not repeated. */
static void combine(const Arithmetic *layer, float *arena, Operation operation)
{
    float *out = arena + layer->out;
    const float *right_operand = layer->constant ? layer->constant : arena + layer->right;
    int32_t i[4] = {0, 0, 0, 0};
    for (i[0] = 0; i[0] < layer->shape[0]; i[0]++)
        for (i[1] = 0; i[1] < layer->shape[1]; i[1]++)
            for (i[2] = 0; i[2] < layer->shape[2]; i[2]++) {
                const float *left = arena + layer->left + place(layer->left_strides, i);
                const float *right = right_operand + place(layer->right_strides, i);
                for (int32_t n = 0; n < layer->shape[3]; n++) {
                    *out++ = operation(*left, *right);
                    left += layer->left_strides[3];
                    right += layer->right_strides[3];
                }
            }
}

void layer_add(const void *layer, float *arena) { combine(layer, arena, sum); }
void layer_subtract(const void *layer, float *arena) { combine(layer, arena, difference); }
void layer_multiply(const void *layer, float *arena) { combine(layer, arena, product); }
void layer_divide(const void *layer, float *arena) { combine(layer, arena, quotient); }
