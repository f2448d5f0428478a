/* soundstill RECORDING.wav: start of each clip in seconds, class, probability, and "tag" or "-", one
 * class per line.
 *
 * Runs on a computer. On a microcontroller, samples of a microphone take the place of the file.
 */
#include <stdio.h>

#include "soundstill.h"
#include "wav.h"

enum { BLOCK = 256 };

static void print_tags(int32_t clip)
{
    float probabilities[SOUNDSTILL_CLASSES];
    soundstill_predict(probabilities);
    double start = (double)clip * SOUNDSTILL_CLIP_SAMPLES / SOUNDSTILL_SAMPLE_RATE;
    for (int32_t k = 0; k < SOUNDSTILL_CLASSES; k++) {
        const char *tag = soundstill_is_tag(probabilities, k) ? "tag" : "-";
        printf("%.2f\t%s\t%.6f\t%s\n", start, soundstill_classes[k], (double)probabilities[k], tag);
    }
}

int main(int argc, char **argv)
{
    Wav wav;
    int16_t block[BLOCK];
    int32_t count, clips = 0, rest = 0; /* rest: samples of an unfinished clip */
    if (argc != 2) {
        fprintf(stderr, "usage: %s RECORDING.wav (16-bit, mono, %d Hz)\n", argv[0], SOUNDSTILL_SAMPLE_RATE);
        return 2;
    }
    const char *fault = wav_open(&wav, argv[1], SOUNDSTILL_SAMPLE_RATE);
    if (fault) {
        fprintf(stderr, "%s: %s; expected 16-bit, mono, %d Hz\n", argv[1], fault, SOUNDSTILL_SAMPLE_RATE);
        if (wav.file)
            fclose(wav.file);
        return 1;
    }
    while ((count = wav_read(&wav, block, BLOCK)) > 0)
        for (int32_t done = 0; done < count;) {
            int32_t taken = soundstill_push(block + done, count - done);
            done += taken;
            rest += taken;
            if (soundstill_is_complete()) {
                print_tags(clips++);
                rest = 0;
            }
        }
    if (rest > 0)
        print_tags(clips);
    fclose(wav.file);
    return 0;
}
