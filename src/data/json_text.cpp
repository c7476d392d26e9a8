#include "data/json_text.h"

#include "data/json_reader.h"
#include "data/text_error.h"

namespace rk {

std::string_view json_text(std::string_view line, std::string_view key, std::string& unescaped) {
  JsonReader reader(line);
  if (reader.next() != '{') reader.refuse("the line is not a JSON object");
  size_t place = 0;
  reader.object({&key, 1}, {&place, 1});
  reader.end();
  if (place == JsonReader::absent) throw TextError(cat("the object has no key \"", key, '"'), 0);
  reader.seek(place);
  if (reader.next() != '"') reader.refuse(cat("the value of \"", key, "\" is not a string"));
  return reader.string(unescaped);
}

}  // namespace rk
