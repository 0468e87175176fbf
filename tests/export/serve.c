/* Runs one signature of a SavedModel through TensorFlow's C interface.
 *
 * serve SAVED_MODEL INPUT files  PICTURE...                  -- OUTPUT...
 * serve SAVED_MODEL INPUT pixels FILE BATCH HEIGHT WIDTH CHANNELS -- OUTPUT...
 *
 * INPUT and OUTPUT are names of tensors, "operation:index". The pixels are a file of
 * float32. Prints the values of each output on a line of its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define MAX_OUTPUTS 8

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path, "cannot be opened");
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(*size + 1);
  if (fread(data, 1, *size, file) != *size) fail(path, "cannot be read");
  fclose(file);
  return data;
}

static TF_Tensor *pictures(int count, char **paths) {
  int64_t shape[] = {count};
  size_t bytes = (size_t)count * sizeof(TF_TString);
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, shape, 1, bytes);
  TF_TString *strings = TF_TensorData(tensor);
  for (int i = 0; i < count; i++) {
    size_t size;
    char *data = read_file(paths[i], &size);
    TF_StringInit(&strings[i]);
    TF_StringCopy(&strings[i], data, size);
    free(data);
  }
  return tensor;
}

static TF_Tensor *pixels(char **arguments) {
  size_t size;
  char *data = read_file(arguments[0], &size);
  int64_t shape[4];
  for (int i = 0; i < 4; i++) shape[i] = atoll(arguments[i + 1]);
  TF_Tensor *tensor = TF_AllocateTensor(TF_FLOAT, shape, 4, size);
  if (TF_TensorByteSize(tensor) != size) fail(arguments[0], "has another size");
  memcpy(TF_TensorData(tensor), data, size);
  free(data);
  return tensor;
}

static TF_Output find(TF_Graph *graph, const char *name) {
  char operation[256];
  int index;
  if (sscanf(name, "%255[^:]:%d", operation, &index) != 2) fail(name, "no tensor name");
  TF_Output output = {TF_GraphOperationByName(graph, operation), index};
  if (!output.oper) fail(name, "not in the graph");
  return output;
}

static void print(const TF_Tensor *tensor) {
  const void *data = TF_TensorData(tensor);
  int64_t count = TF_TensorElementCount(tensor);
  for (int64_t i = 0; i < count; i++) {
    switch (TF_TensorType(tensor)) {
      case TF_FLOAT: printf("%.9g ", ((const float *)data)[i]); break;
      case TF_INT64: printf("%lld ", (long long)((const int64_t *)data)[i]); break;
      case TF_BOOL: printf("%d ", ((const unsigned char *)data)[i]); break;
      case TF_STRING: {
        const TF_TString *string = (const TF_TString *)data + i;
        printf("'%.*s' ", (int)TF_StringGetSize(string), TF_StringGetDataPointer(string));
        break;
      }
      default: fail("output", "of an unexpected type");
    }
  }
  printf("\n");
}

int main(int argc, char **argv) {
  int dashes = 4;
  while (dashes < argc && strcmp(argv[dashes], "--")) dashes++;
  int count = argc - dashes - 1;
  if (count < 1 || count > MAX_OUTPUTS) fail("serve", "see the top of serve.c for usage");

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status, argv[1]);

  TF_Output input = find(graph, argv[2]), outputs[MAX_OUTPUTS];
  TF_Tensor *fed = strcmp(argv[3], "files") ? pixels(argv + 4)
                                            : pictures(dashes - 4, argv + 4);
  TF_Tensor *fetched[MAX_OUTPUTS];
  for (int i = 0; i < count; i++) outputs[i] = find(graph, argv[dashes + 1 + i]);
  TF_SessionRun(session, NULL, &input, &fed, 1, outputs, fetched, count, NULL, 0, NULL,
                status);
  check(status, "run");
  for (int i = 0; i < count; i++) {
    print(fetched[i]);
    TF_DeleteTensor(fetched[i]);
  }
  TF_DeleteTensor(fed);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
