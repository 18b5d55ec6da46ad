/* What somebody writes in C who links farfault for the first time. Uses a piece of everything that the C API has. */
#include <farfault/c.h>
#include <stdio.h>
#include <string.h>

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, farfault_error_text());
  return 1;
}

int main(void) {
  struct farfault_owned_region* owned = NULL;
  struct farfault_region region = {.struct_size = sizeof region};
  struct farfault_memory* memory = NULL;
  if (farfault_owned_region_create_shared("memory", 1u << 20, NULL, &owned) != FARFAULT_OK) return fail("memory");
  if (farfault_owned_region_get(owned, &region) != FARFAULT_OK) return fail("region");
  if (farfault_memory_create(&region, 1, &memory) != FARFAULT_OK) return fail("guest");
  if (farfault_memory_total_pages(memory) != 256) return fail("pages");

  /* Sessions that cannot begin say why, and link everything that a session is made of. */
  struct farfault_session_options session;
  struct farfault_source* source = NULL;
  struct farfault_destination* destination = NULL;
  farfault_session_options_init(&session, sizeof session);
  session.connect = "nonsense";
  if (farfault_source_create(memory, &session, NULL, &source) != FARFAULT_INVALID_ARGUMENT) return fail("source");
  if (strstr(farfault_error_text(), "nonsense") == NULL) return fail("text");
  if (farfault_destination_create(memory, &session, NULL, &destination) == FARFAULT_OK) return fail("destination");
  farfault_memory_destroy(memory);
  farfault_owned_region_destroy(owned);
  printf("farfault %s, %s\n", farfault_version(), farfault_transport_names());
  return 0;
}
