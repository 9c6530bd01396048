"""What people call the canonical columns, and the words of a status: the table behind `cvm init --from`.

Belongs here: names only, in English, Chinese, German, Spanish and Portuguese. Not here: anything that reads a file. A name
that may mean two things stands later in its list: a better fit elsewhere takes it first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

_ORDER = {
    "order_id": "order_id orderid order_no order_number invoice invoice_no invoice_number invoiceno transaction_id "
    "opportunity_id receipt_no bill_no 订单号 订单编号 订单id 单号 发票号 bestellnummer auftragsnummer rechnungsnummer "
    "belegnummer bestell_nr auftrags_nr rechnungs_nr pedido numero_pedido id_pedido n_pedido factura numero_factura "
    "numero_do_pedido nota_fiscal",
    "ordered_at": "ordered_at order_date orderdate order_time invoice_date purchase_date purchased_at "
    "order_purchase_timestamp transaction_date sale_date close_date created_at order_datetime date datetime timestamp "
    "订购日期 订单日期 下单时间 下单日期 购买日期 订单时间 交易日期 日期 bestelldatum auftragsdatum rechnungsdatum kaufdatum "
    "belegdatum datum fecha_pedido fecha_factura fecha_compra fecha data_pedido data_do_pedido data_compra data",
    "customer_id": "customer_id customerid customer_no customer_number customer_code client_id clientid user_id userid "
    "member_id buyer_id account_id customer client account 客户id 客户编号 客户号 会员id 会员号 会员编号 用户id 客户 "
    "kundennummer kunden_nr kunden_id kundennr kunde cliente_id id_cliente codigo_cliente numero_cliente cliente",
    "currency": "currency currency_code 币种 货币 wahrung waehrung moneda moeda",
    "status": "status order_status state deal_stage stage 订单状态 状态 bestellstatus auftragsstatus estado situacao "
    "estado_pedido",
    "channel": "channel sales_channel order_channel 渠道 销售渠道 kanal vertriebskanal canal canal_venta canal_de_venda",
    "discount": "discount discount_amount rabatt nachlass 折扣 折扣金额 优惠金额 descuento desconto",
}
_UPDATED = {
    "updated_at": "updated_at last_modified modified_at last_updated 更新时间 geandert_am actualizado_en atualizado_em"
}
_PRODUCT_ID = (
    "product_id productid sku stock_code stockcode item_id item_code article_no product_code product item 产品id 产品编号 "
    "商品id 商品编号 商品编码 货号 商品 artikelnummer artikel_nr produktnummer artikel producto_id id_producto codigo_producto "
    "producto produto_id id_produto codigo_produto produto"
)
_UNIT_COST = (
    "unit_cost cost cost_price 成本 单位成本 einstandspreis einkaufspreis stuckkosten coste_unitario custo_unitario"
)

SYNONYMS: dict[str, dict[str, str]] = {
    "orders": {
        **_ORDER,
        "amount": "amount order_amount total total_amount order_total net_amount grand_total total_price sales sales_amount "
        "revenue dollar_value close_value order_value payment_value value price 金额 订单金额 总金额 销售额 实付金额 支付金额 "
        "betrag gesamtbetrag umsatz nettobetrag summe importe monto total_pedido ventas valor_total valor vendas",
        "cost": "cost total_cost order_cost 成本 kosten coste costo custo",
        **_UPDATED,
    },
    "order_lines": {
        **_ORDER,
        "product_id": _PRODUCT_ID,
        "quantity": "quantity qty units pieces 数量 件数 menge anzahl stuckzahl cantidad quantidade qtd",
        "unit_price": "unit_price unitprice price price_each item_price list_price 单价 价格 售价 einzelpreis stuckpreis preis "
        "precio_unitario precio preco_unitario preco",
        "unit_cost": _UNIT_COST,
        **_UPDATED,
    },
    "products": {
        "product_id": _PRODUCT_ID,
        "name": "name product_name title description product_description 产品名称 商品名称 名称 produktname bezeichnung "
        "artikelbezeichnung nombre nombre_producto nome nome_produto",
        "category": "category product_category category_name product_category_name category_id series department 类别 分类 "
        "产品类别 子类别 kategorie warengruppe categoria",
        "unit_cost": _UNIT_COST,
        **_UPDATED,
    },
    "customers": {
        "customer_id": _ORDER["customer_id"] + " id",
        "name": "name customer_name full_name company_name company contact_name 姓名 客户名称 公司名称 firmenname firma "
        "nombre nome razon_social razao_social",
        "customer_type": "customer_type type segment_type 客户类型 kundentyp kundenart tipo_cliente",
        "email": "email e_mail email_address mail 邮箱 电子邮件 correo correo_electronico",
        "phone": "phone phone_number phone_no telephone telephone_number tel_no mobile mobile_number mobile_phone cell cellphone tel 电话 手机 手机号 telefon telefonnummer telefono telefone",
        "birth_date": "birth_date birthday date_of_birth dob born 生日 出生日期 geburtsdatum fecha_nacimiento data_nascimento",
        "gender": "gender sex 性别 geschlecht genero sexo",
        "country": "country country_code office_location 国家 land pais",
        "region": "region province state customer_state 地区 省份 省 省自治区 bundesland provincia comunidad uf",
        "city": "city town customer_city 城市 stadt ort ciudad cidade municipio",
        "postal_code": "postal_code zip zip_code postcode customer_zip_code_prefix 邮编 邮政编码 plz postleitzahl "
        "codigo_postal cep",
        "industry": "industry sector 行业 branche industria setor",
        "employees": "employees number_of_employees headcount 员工数 mitarbeiter mitarbeiterzahl empleados funcionarios",
        "annual_revenue": "annual_revenue revenue turnover 年收入 营业额 jahresumsatz facturacion faturamento",
        "created_at": "created_at created_on registered_at registered_on signup_date signup registration_date created member_since "
        "customer_since join_date joined_at 注册时间 注册日期 创建时间 "
        "registriert_am angelegt_am erstellt_am fecha_alta fecha_registro data_cadastro",
        "acquisition_channel": "acquisition_channel source lead_source 来源 获客渠道 herkunft origen origem",
        "marketing_consent": "marketing_consent opt_in newsletter consent 营销同意 einwilligung consentimiento",
        **_UPDATED,
    },
    "exchange_rates": {
        "currency": _ORDER["currency"],
        "rate_date": "rate_date date valid_on day 日期 datum fecha data",
        "rate": "rate exchange_rate fx_rate 汇率 kurs wechselkurs tipo_cambio taxa cambio",
    },
}

_STATUS_WORDS = {
    "completed": "completed complete done delivered shipped paid fulfilled closed won invoiced 已完成 完成 已发货 已支付 已签收 "
    "交易成功 abgeschlossen geliefert bezahlt versandt completado entregado pagado enviado concluido entregue pago enviado",
    "pending": "pending open processing created approved new draft unpaid onhold awaitingpayment engaging prospecting "
    "unavailable 待支付 待付款 待发货 处理中 未支付 offen inbearbeitung pendiente abierto enproceso pendente aberto",
    "cancelled": "cancelled canceled void voided cancel lost rejected 已取消 取消 交易关闭 storniert cancelado anulado",
    "returned": "returned refunded return refund 已退货 退货 已退款 退款 zuruckgegeben erstattet retourniert devuelto "
    "reembolsado devolvido",
}


def plain(name: str) -> str:
    """A name without case, accents, blanks and punctuation: `Order ID`, `order_id` and `ORDER-ID` are one."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in decomposed if letter.isalnum())


def match_columns(names: Sequence[str], entity: str) -> dict[str, str]:
    """The file's column for each canonical one that has a likely one; each column is used once, the best fit first."""
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    fits = sorted(
        (rank, order, canonical, by_plain[word])
        for order, (canonical, words) in enumerate(SYNONYMS[entity].items())
        for rank, word in enumerate(map(plain, words.split()))
        if word in by_plain
    )
    matched: dict[str, str] = {}
    for _, _, canonical, name in fits:
        if canonical not in matched and name not in matched.values():
            matched[canonical] = name
    return {canonical: matched[canonical] for canonical in SYNONYMS[entity] if canonical in matched}


def status_of(word: str) -> str | None:
    """The canonical status that a word most likely means, or None."""
    return _STATUS_OF.get(plain(word))


_STATUS_OF: Mapping[str, str] = {
    plain(word): status for status, words in _STATUS_WORDS.items() for word in words.split()
}
