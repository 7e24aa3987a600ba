// The loops behind dot_tile.hpp, compiled once per instruction set (CMakeLists.txt), which defines
// LABELQUORUM_KERNELS_NAMESPACE. They use no template of the standard library: the linker could
// take one compiled here with wide instructions for the one used everywhere else.
#include <cstring>

#include "dot_tile.hpp"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE {
namespace {

// The sum of n terms, added in the same order in all instruction sets.
template <class Term>
double sum_of(std::size_t n, const Term& term) {
    constexpr std::size_t n_sums = 16;
    double sums[n_sums] = {};
    std::size_t c = 0;
    for (; c + n_sums <= n; c += n_sums) {
        for (std::size_t s = 0; s < n_sums; ++s) sums[s] += term(c + s);
    }
    for (; c < n; ++c) sums[c % n_sums] += term(c);
    for (std::size_t half = n_sums / 2; half > 0; half /= 2) {
        for (std::size_t s = 0; s < half; ++s) sums[s] += sums[s + half];
    }
    return sums[0];
}

double dot(const double* a, const double* b, std::size_t n) {
    return sum_of(n, [=](std::size_t c) { return a[c] * b[c]; });
}

double squared_distance(const double* a, const double* b, std::size_t n) {
    return sum_of(n, [=](std::size_t c) { return (a[c] - b[c]) * (a[c] - b[c]); });
}

void widen(const float* from, std::size_t n, double* to) {
    for (std::size_t c = 0; c < n; ++c) to[c] = from[c];
}

#if defined(__AVX512F__)
constexpr std::size_t vector_bytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t vector_bytes = 32;
#else
constexpr std::size_t vector_bytes = 16;
#endif
// NOLINTNEXTLINE(modernize-use-using): the attribute needs it
typedef float Vector __attribute__((vector_size(vector_bytes)));
constexpr std::size_t vector_size = vector_bytes / sizeof(float);
constexpr std::size_t n_vectors = 2;
constexpr std::size_t n_points = n_vectors * vector_size;

Vector load(const float* from) {
    Vector v;
    std::memcpy(&v, from, sizeof(v));
    return v;
}

// Written with intrinsics, because contraction is turned off for the rest so that all instruction
// sets round alike.
Vector multiply_add(float a, Vector b, Vector c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(_mm512_set1_ps(a), b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c);
#else
    return a * b + c;
#endif
}

#if defined(__AMX_BF16__) || defined(__AVX512BF16__)

// bfloat16: the upper half of a float.
using Value = std::uint16_t;
constexpr double rounding = 0x1p-10;

float rounded(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;  // to nearest, ties to even
    std::memcpy(&value, &bits, sizeof(bits));
    return value;
}

Value bfloat16(float value) {
    value = rounded(value);
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return static_cast<Value>(bits >> 16);
}

#endif

#if defined(__AMX_BF16__)

// A tile is 16 rows of 64 bytes. A tile of queries holds 32 columns of 16 rows as they are; a tile
// of points holds them transposed by pairs of columns. Two tiles of each make four tiles of dots.
constexpr std::size_t tile_rows = 16;
constexpr std::size_t tile_columns = 32;
constexpr std::size_t tile_values = tile_rows * tile_columns;
constexpr std::size_t n_queries = 2 * tile_rows;
static_assert(n_points == 2 * tile_rows);
constexpr std::size_t column_multiple = tile_columns;

// A panel holds, for each 32 columns, the tile of the first 16 rows, then that of the other 16.
Value* tile_of(void* panel, std::size_t column, std::size_t place) {
    return static_cast<Value*>(panel) +
           (2 * (column / tile_columns) + place / tile_rows) * tile_values;
}

void put_query(const float* row, std::size_t n_columns, std::size_t place, void* panel) {
    for (std::size_t c = 0; c < n_columns; c += tile_columns) {
        Value* to = tile_of(panel, c, place) + place % tile_rows * tile_columns;
        for (std::size_t i = 0; i < tile_columns; ++i) to[i] = bfloat16(row[c + i]);
    }
}

void put_point(const float* row, std::size_t n_columns, std::size_t place, void* panel) {
    for (std::size_t c = 0; c < n_columns; c += tile_columns) {
        Value* to = tile_of(panel, c, place) + place % tile_rows * 2;
        for (std::size_t i = 0; i < tile_columns; i += 2) {
            to[i * tile_rows] = bfloat16(row[c + i]);
            to[i * tile_rows + 1] = bfloat16(row[c + i + 1]);
        }
    }
}

void copy_query(const void* from, std::size_t from_place, std::size_t n_columns, std::size_t place,
                void* panel) {
    for (std::size_t c = 0; c < n_columns; c += tile_columns) {
        const Value* row = static_cast<const Value*>(from) +
                           (2 * (c / tile_columns) + from_place / tile_rows) * tile_values +
                           from_place % tile_rows * tile_columns;
        std::memcpy(tile_of(panel, c, place) + place % tile_rows * tile_columns, row,
                    tile_columns * sizeof(Value));
    }
}

struct alignas(64) TileShapes {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t n_rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

void multiply(const void* queries, const void* points, std::size_t n_panels, std::size_t n_columns,
              float* dots) {
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    constexpr std::size_t row_bytes = 64;
    constexpr std::size_t dots_row_bytes = n_points * sizeof(float);
    const auto* b = static_cast<const Value*>(points);
    for (std::size_t p = 0; p < n_panels; ++p, dots += n_queries * n_points) {
        const auto* a = static_cast<const Value*>(queries);
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (std::size_t c = 0; c < n_columns; c += tile_columns) {
            _tile_loadd(4, a, row_bytes);
            _tile_loadd(5, a + tile_values, row_bytes);
            _tile_loadd(6, b, row_bytes);
            _tile_loadd(7, b + tile_values, row_bytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
            a += 2 * tile_values;
            b += 2 * tile_values;
        }
        _tile_stored(0, dots, dots_row_bytes);
        _tile_stored(1, dots + tile_rows, dots_row_bytes);
        _tile_stored(2, dots + tile_rows * n_points, dots_row_bytes);
        _tile_stored(3, dots + tile_rows * n_points + tile_rows, dots_row_bytes);
    }
    _tile_release();
}

#elif defined(__AVX512BF16__)

// Pairs of columns: pair c of row p of a panel of n rows is at [c * n + p]. The sizes are such that
// all sums stay in registers.
constexpr std::size_t n_queries = 12;
constexpr std::size_t column_multiple = 2;

template <std::size_t n_rows>
void put(const float* row, std::size_t n_columns, std::size_t place, void* panel) {
    Value* to = static_cast<Value*>(panel) + 2 * place;
    for (std::size_t c = 0; c < n_columns; c += 2, to += 2 * n_rows) {
        to[0] = bfloat16(row[c]);
        to[1] = bfloat16(row[c + 1]);
    }
}

constexpr auto put_query = put<n_queries>;
constexpr auto put_point = put<n_points>;

void multiply(const void* queries, const void* points, std::size_t n_panels, std::size_t n_columns,
              float* dots) {
    const auto* b = static_cast<const Value*>(points);
    for (std::size_t p = 0; p < n_panels; ++p) {
        const auto* a = static_cast<const Value*>(queries);
        __m512 sums[n_queries][n_vectors] = {};
        for (std::size_t c = 0; c < n_columns; c += 2, a += 2 * n_queries, b += 2 * n_points) {
            __m512bh values[n_vectors];
#pragma GCC unroll 2
            for (std::size_t v = 0; v < n_vectors; ++v) {
                values[v] = (__m512bh)_mm512_loadu_si512(b + 2 * v * vector_size);
            }
#pragma GCC unroll 12
            for (std::size_t q = 0; q < n_queries; ++q) {
                std::int32_t pair;
                std::memcpy(&pair, a + 2 * q, sizeof(pair));
                const auto both = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
                for (std::size_t v = 0; v < n_vectors; ++v) {
                    sums[q][v] = _mm512_dpbf16_ps(sums[q][v], both, values[v]);
                }
            }
        }
        for (std::size_t q = 0; q < n_queries; ++q) {
            for (std::size_t v = 0; v < n_vectors; ++v, dots += vector_size) {
                _mm512_storeu_ps(dots, sums[q][v]);
            }
        }
    }
}

#else

// Single precision: value c of row p of a panel of n rows is at [c * n + p]. The sizes are such
// that all sums stay in registers.
using Value = float;
#if defined(__AVX512F__)
constexpr std::size_t n_queries = 12;
#elif defined(__AVX2__)
constexpr std::size_t n_queries = 6;
#else
constexpr std::size_t n_queries = 4;
#endif
constexpr std::size_t column_multiple = 1;
constexpr double rounding = 0x1p-25;

float rounded(float value) { return value; }

template <std::size_t n_rows>
void put(const float* row, std::size_t n_columns, std::size_t place, void* panel) {
    float* to = static_cast<float*>(panel) + place;
    for (std::size_t c = 0; c < n_columns; ++c) to[c * n_rows] = row[c];
}

constexpr auto put_query = put<n_queries>;
constexpr auto put_point = put<n_points>;

void multiply(const void* queries, const void* points, std::size_t n_panels, std::size_t n_columns,
              float* dots) {
    const auto* b = static_cast<const float*>(points);
    for (std::size_t p = 0; p < n_panels; ++p) {
        const auto* a = static_cast<const float*>(queries);
        Vector sums[n_queries][n_vectors] = {};
        for (std::size_t c = 0; c < n_columns; ++c, a += n_queries, b += n_points) {
            Vector values[n_vectors];
#pragma GCC unroll 2
            for (std::size_t v = 0; v < n_vectors; ++v) values[v] = load(b + v * vector_size);
#pragma GCC unroll 12
            for (std::size_t q = 0; q < n_queries; ++q) {
#pragma GCC unroll 2
                for (std::size_t v = 0; v < n_vectors; ++v) {
                    sums[q][v] = multiply_add(a[q], values[v], sums[q][v]);
                }
            }
        }
        for (std::size_t q = 0; q < n_queries; ++q) {
            for (std::size_t v = 0; v < n_vectors; ++v, dots += vector_size) {
                std::memcpy(dots, &sums[q][v], sizeof(Vector));
            }
        }
    }
}

#endif

#ifndef __AMX_BF16__

// Copies words of 4 bytes, which hold one column or two.
void copy_query(const void* from, std::size_t from_place, std::size_t n_columns, std::size_t place,
                void* panel) {
    const auto* row = static_cast<const std::uint32_t*>(from) + from_place;
    auto* to = static_cast<std::uint32_t*>(panel) + place;
    for (std::size_t c = 0; c < n_columns / column_multiple * n_queries; c += n_queries)
        to[c] = row[c];
}

#endif

DotTile::Squares prepare(double* row, const double* center, double scale, std::size_t n,
                         float* values) {
    for (std::size_t c = 0; c < n; ++c) row[c] = (row[c] - center[c]) * scale;
    for (std::size_t c = 0; c < n; ++c) values[c] = rounded(static_cast<float>(row[c]));
    return {sum_of(n, [=](std::size_t c) { return row[c] * row[c]; }),
            sum_of(n, [=](std::size_t c) {
                const double error = row[c] - static_cast<double>(values[c]);
                return error * error;
            })};
}

static_assert(n_queries * n_points <= max_dots_per_tile && n_points <= 32);

DotTile::Within within(const float* dots, float weight, float query_low, float query_limit,
                       const float* point_lows, const float* point_limits) {
    std::uint32_t query = 0;
    std::uint32_t points = 0;
    for (std::size_t p = 0; p < n_points; ++p) {
        const float product = weight * dots[p];
        query |= static_cast<std::uint32_t>(point_lows[p] - product <= query_limit) << p;
        points |= static_cast<std::uint32_t>(query_low - product <= point_limits[p]) << p;
    }
    return {query, points};
}

Vector smaller(Vector a, Vector b) { return a < b ? a : b; }

// One bit per value: whether it is at most the limit.
std::uint32_t at_most(Vector values, float limit) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(values, _mm512_set1_ps(limit), _CMP_LE_OQ);
#elif defined(__AVX2__)
    return static_cast<std::uint32_t>(
        _mm256_movemask_ps(_mm256_cmp_ps(values, _mm256_set1_ps(limit), _CMP_LE_OQ)));
#else
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < vector_size; ++i) {
        bits |= static_cast<std::uint32_t>(values[i] <= limit) << i;
    }
    return bits;
#endif
}

std::size_t near_least(const float* dots, std::size_t n, std::size_t n_panels, float weight,
                       const float* lows, const float* gaps, float* least, DotTile::Near* near) {
    static_assert(n_vectors == 2);
    constexpr std::size_t step = n_queries * n_points;  // from panel to panel
    // Only the sum is rounded: weights are powers of two.
    const auto value = [=](std::size_t query, std::size_t panel, std::size_t first) {
        return multiply_add(-weight, load(dots + panel * step + query * n_points + first),
                            load(lows + panel * n_points + first));
    };
    float lanes[n_queries][vector_size];
    for (std::size_t q = 0; q < n; ++q) {
        Vector a = Vector{} + least[q];
        Vector b = a;
        for (std::size_t p = 0; p < n_panels; ++p) {
            a = smaller(value(q, p, 0), a);
            b = smaller(value(q, p, vector_size), b);
        }
        a = smaller(a, b);
        std::memcpy(lanes[q], &a, sizeof(a));
    }
    for (std::size_t half = vector_size / 2; half > 0; half /= 2) {
        for (std::size_t q = 0; q < n; ++q) {
            for (std::size_t i = 0; i < half; ++i) {
                lanes[q][i] = lanes[q][i + half] < lanes[q][i] ? lanes[q][i + half] : lanes[q][i];
            }
        }
    }
    std::size_t n_near = 0;
    for (std::size_t q = 0; q < n; ++q) {
        least[q] = lanes[q][0];
        const float limit = least[q] + gaps[q];
        // Mostly one panel has any. Branches could not predict which one.
        std::uint32_t panels = 0;
        for (std::size_t p = 0; p < n_panels; ++p) {
            const Vector both = smaller(value(q, p, 0), value(q, p, vector_size));
            panels |= static_cast<std::uint32_t>(at_most(both, limit) != 0) << p;
        }
        for (; panels != 0; panels &= panels - 1) {
            const auto p = static_cast<std::size_t>(__builtin_ctz(panels));
            std::uint32_t bits = at_most(value(q, p, 0), limit) |
                                 at_most(value(q, p, vector_size), limit) << vector_size;
            for (; bits != 0; bits &= bits - 1) {
                const auto i = static_cast<std::size_t>(__builtin_ctz(bits));
                const float low =
                    lows[p * n_points + i] - weight * dots[p * step + q * n_points + i];
                near[n_near++] = {low, static_cast<std::uint32_t>(q),
                                  static_cast<std::uint32_t>(p * n_points + i)};
            }
        }
    }
    return n_near;
}

}  // namespace

extern const DotTile tile;
const DotTile tile{n_queries,   n_points,          column_multiple, sizeof(Value),
                   rounding,    &prepare,          put_query,       put_point,
                   &copy_query, &multiply,         &within,         &near_least,
                   &dot,        &squared_distance, &widen};

}  // namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE
