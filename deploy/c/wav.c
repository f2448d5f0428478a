/* RIFF chunks in little-endian order, whatever the order of the machine. */
#include "wav.h"

#include <string.h>

enum { PCM = 1, EXTENSIBLE = 0xFFFE, HEAD = 12, CHUNK_HEAD = 8, FORMAT = 16 };

static uint32_t number(const unsigned char *bytes, int count)
{
    uint32_t value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

static int skip(FILE *file, uint32_t count)
{
    while (count > 0 && getc(file) != EOF)
        count--;
    return count == 0;
}

const char *wav_open(Wav *wav, const char *path, uint32_t sample_rate)
{
    unsigned char bytes[FORMAT];
    int is_checked = 0;
    wav->file = fopen(path, "rb");
    if (!wav->file)
        return "cannot be opened";
    if (fread(bytes, 1, HEAD, wav->file) != HEAD || memcmp(bytes, "RIFF", 4) ||
        memcmp(bytes + 8, "WAVE", 4))
        return "not a WAV file";
    while (fread(bytes, 1, CHUNK_HEAD, wav->file) == CHUNK_HEAD) {
        uint32_t size = number(bytes + 4, 4);
        if (memcmp(bytes, "data", 4) == 0) {
            wav->samples_left = size / 2;
            return is_checked ? NULL : "no format before the samples";
        }
        if (memcmp(bytes, "fmt ", 4) == 0 && size >= FORMAT) {
            if (fread(bytes, 1, FORMAT, wav->file) != FORMAT)
                break;
            uint32_t kind = number(bytes, 2);
            if ((kind != PCM && kind != EXTENSIBLE) || number(bytes + 14, 2) != 16)
                return "expected 16-bit samples";
            if (number(bytes + 2, 2) != 1)
                return "expected one channel";
            if (number(bytes + 4, 4) != sample_rate)
                return "has another sample rate";
            is_checked = 1;
            size -= FORMAT;
        }
        if (!skip(wav->file, size + size % 2))
            break;
    }
    return "has no samples";
}

int32_t wav_read(Wav *wav, int16_t *samples, int32_t count)
{
    unsigned char bytes[2];
    int32_t read = 0;
    while (read < count && wav->samples_left > 0 && fread(bytes, 1, 2, wav->file) == 2) {
        int32_t value = (int32_t)number(bytes, 2);
        samples[read++] = (int16_t)(value < 32768 ? value : value - 65536);
        wav->samples_left--;
    }
    return read;
}
