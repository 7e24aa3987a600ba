#include "row_packing.hpp"

#include <algorithm>
#include <cstring>

namespace labelquorum {
namespace {

// A TypedColumn whose stride is known at compile time.
template <class T>
struct ContiguousColumn {
    const char* data;
    T operator[](std::size_t row) const {
        T value;
        std::memcpy(&value, data + row * sizeof(T), sizeof(T));
        return value;
    }
};

// Calls f with a ContiguousColumn or a TypedColumn, whichever fits.
template <class F>
void visit_contiguous_or_strided(const Column& column, F&& f) {
    visit(column, [&]<class T>(TypedColumn<T> values) {
        if (values.stride == sizeof(T)) {
            f(ContiguousColumn<T>{values.data});
        } else {
            f(values);
        }
    });
}

}  // namespace

RowLayout make_layout(std::span<const std::uint32_t> widths) {
    RowLayout layout;
    layout.fields.reserve(widths.size());
    std::uint32_t word = 0;
    std::uint32_t free_bits = 64;
    for (const std::uint32_t width : widths) {
        if (width > free_bits) {
            ++word;
            free_bits = 64;
        }
        free_bits -= width;
        layout.fields.push_back({word, width == 0 ? 0 : free_bits, width});
    }
    layout.n_words = word + 1;
    return layout;
}

void find_used_bits(const Partitions& partitions, std::size_t begin, std::size_t end, Code* used) {
    for (std::size_t j = 0; j < partitions.n_partitions(); ++j) {
        visit_contiguous_or_strided(partitions.columns[j], [&](auto values) {
            bool valid = true;
            Code bits = 0;
            for (std::size_t row = begin; row < end; ++row) {
                const auto value = values[row];
                valid &= is_valid_id(value);
                bits |= to_code(value);
            }
            if (!valid) refuse_ids(partitions, begin, end);
            used[j] |= bits;
        });
    }
}

Packing pack_rows(const Partitions& partitions, const RowLayout& layout, std::size_t begin,
                  std::size_t n, std::uint64_t* words, std::uint8_t* too_large) {
    const std::size_t n_words = layout.n_words;
    std::fill_n(words, n * n_words, 0);
    Packing result = Packing::done;
    for (std::size_t j = 0; j < partitions.n_partitions() && result != Packing::invalid_id; ++j) {
        const auto field = layout.fields[j];
        visit_contiguous_or_strided(partitions.columns[j], [&](auto values) {
            bool valid = true;
            std::uint64_t used = 0;
            std::uint64_t* out = words + field.word;
            const auto pack = [&](std::size_t stride) {
                for (std::size_t i = 0; i < n; ++i) {
                    const auto value = values[begin + i];
                    valid &= is_valid_id(value);
                    const std::uint64_t code = to_code(value);
                    used |= code;
                    out[i * stride] |= code << field.shift;
                }
            };
            n_words == 1 ? pack(1) : pack(n_words);
            if (!valid) {
                result = Packing::invalid_id;
                return;
            }
            if ((used >> field.width) == 0) return;
            result = Packing::too_narrow;
            if (too_large == nullptr) return;
            for (std::size_t i = 0; i < n; ++i) {
                too_large[i] |= (std::uint64_t{to_code(values[begin + i])} >> field.width) != 0;
            }
        });
    }
    return result;
}

}  // namespace labelquorum
